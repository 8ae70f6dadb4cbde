//! Uses between files: through imports, paths, and methods of types that several files extend.
//!
//! A method call counts where the type of its receiver can be read off: `self`, parameters,
//! variables that calls or paths of known types initialise, fields of these, and results of
//! methods. Parameters of closures and values behind guards or generic types have no known type;
//! the import that such code needs to name the type counts all the same.

use alloc::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Expr, ExprMethodCall, Field, FnArg, ImplItem, ImplItemFn, Item, ItemFn, ItemImpl, ItemUse,
    Local, Macro, Member, Pat, Path, ReturnType, Signature, Token, Type,
};

use crate::config;
use crate::modules::{self, Crate, Target};

/// The uses between files of a crate: from which file to which, and an example of each.
pub(crate) type Uses = BTreeMap<(usize, usize), String>;

/// A method in an inherent implementation.
pub(crate) struct Method {
    pub(crate) name: String,
    /// The type that has the method.
    pub(crate) of: usize,
    /// The module with the implementation.
    pub(crate) module: usize,
    output: Option<Type>,
}

/// All inherent methods and associated functions of the crate's own types.
pub(crate) fn methods(parsed: &Crate) -> Vec<Method> {
    let mut found = Vec::new();
    for (module, scope) in parsed.modules.iter().enumerate() {
        for item in &scope.items {
            let Item::Impl(block) = item else { continue };
            let of = definition_of_type(parsed, module, None, &block.self_ty);
            let (Some(of), None) = (of, &block.trait_) else {
                continue;
            };
            for item in &block.items {
                let ImplItem::Fn(method) = item else { continue };
                if config::may_exist(&method.attrs, parsed.tests) {
                    found.push(Method {
                        name: method.sig.ident.to_string(),
                        of,
                        module,
                        output: match &method.sig.output {
                            ReturnType::Default => None,
                            ReturnType::Type(_, output) => Some((**output).clone()),
                        },
                    });
                }
            }
        }
    }
    found
}

/// All uses between different files of the crate.
pub(crate) fn uses(parsed: &Crate) -> Uses {
    read(parsed).0
}

/// Paths into the crate that lead nowhere: uses that would be missed.
pub(crate) fn lost(parsed: &Crate) -> Vec<String> {
    read(parsed).1
}

fn read(parsed: &Crate) -> (Uses, Vec<String>) {
    let methods = methods(parsed);
    let mut uses = Uses::new();
    let mut lost = Vec::new();
    for module in 0..parsed.modules.len() {
        let mut visitor = Visitor {
            parsed,
            methods: &methods,
            module,
            of: None,
            variables: BTreeMap::new(),
            uses: &mut uses,
            lost: &mut lost,
        };
        for item in &parsed.modules[module].items {
            visitor.visit_item(item);
        }
    }
    (uses, lost)
}

/// Reads one module.
struct Visitor<'a> {
    parsed: &'a Crate,
    methods: &'a [Method],
    module: usize,
    /// The type whose implementation is read.
    of: Option<usize>,
    /// Parameters and variables of the function that is read, with their types where these are
    /// known.
    variables: BTreeMap<String, usize>,
    uses: &'a mut Uses,
    lost: &'a mut Vec<String>,
}

impl Visitor<'_> {
    fn add(&mut self, file: usize, line: usize, what: &str) {
        let own = self.parsed.modules[self.module].file;
        if file != own {
            let example = || format!("line {line}: {what}");
            self.uses.entry((own, file)).or_insert_with(example);
        }
    }

    fn add_path(&mut self, path: &[String], line: usize) {
        if path.first().is_some_and(|first| first == "Self") {
            if let (Some(of), Some(name)) = (self.of, path.get(1)) {
                self.add_method(of, name, line);
            }
            return;
        }
        let targets = self.parsed.resolve(self.module, path);
        let begins_here = path
            .first()
            .is_some_and(|first| matches!(first.as_str(), "crate" | "self" | "super"));
        let is_glob = path.last().is_some_and(|last| last == "*");
        if begins_here && targets.is_empty() && !is_glob {
            let file = &self.parsed.files[self.parsed.modules[self.module].file];
            let path = path.join("::");
            self.lost
                .push(format!("{file}:{line}: {path} leads nowhere"));
        }
        for target in targets {
            if let Target::Definition(definition, rest) = target {
                let file = self.parsed.file_of(definition);
                self.add(file, line, &path.join("::"));
                if let Some(name) = rest.first() {
                    self.add_method(definition, name, line);
                }
            }
        }
    }

    fn add_method(&mut self, of: usize, name: &str, line: usize) {
        for method in self.methods {
            if method.of == of && method.name == name {
                let file = self.parsed.modules[method.module].file;
                let of = &self.parsed.definitions[of].name;
                self.add(file, line, &format!("{of}::{name}"));
            }
        }
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut joined = false;
        let mut line = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if !joined {
                        self.add_path(&path, line);
                        path.clear();
                    }
                    line = name.span().start().line;
                    path.push(name.to_string());
                    joined = false;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' && !path.is_empty() => {
                    joined = true;
                }
                other => {
                    self.add_path(&path, line);
                    path.clear();
                    joined = false;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add_path(&path, line);
    }

    /// The type of an expression, if it is one of the crate's and can be read off.
    fn type_of(&self, expression: &Expr) -> Option<usize> {
        match expression {
            Expr::Path(path) => {
                let name = path.path.get_ident()?;
                if name == "self" {
                    self.of
                } else {
                    self.variables.get(&name.to_string()).copied()
                }
            }
            Expr::Field(field) => {
                let of = self.type_of(&field.base)?;
                self.type_of_field(of, &field.member)
            }
            Expr::MethodCall(call) => {
                let of = self.type_of(&call.receiver)?;
                self.type_of_result(of, &call.method.to_string())
            }
            Expr::Call(call) => {
                let Expr::Path(function) = &*call.func else {
                    return None;
                };
                self.type_of_call(&names(&function.path))
            }
            Expr::Reference(inner) => self.type_of(&inner.expr),
            Expr::Paren(inner) => self.type_of(&inner.expr),
            Expr::Unary(inner) => self.type_of(&inner.expr),
            _ => None,
        }
    }

    fn type_of_call(&self, path: &[String]) -> Option<usize> {
        match path {
            [first, name] if first == "Self" => return self.type_of_result(self.of?, name),
            _ => {}
        }
        let targets = self.parsed.resolve(self.module, path);
        targets.iter().find_map(|target| match target {
            Target::Definition(of, rest) => self.type_of_result(*of, rest.first()?),
            Target::Module(_) | Target::External => None,
        })
    }

    fn type_of_result(&self, of: usize, name: &str) -> Option<usize> {
        let is_named = |method: &&Method| method.of == of && method.name == name;
        let method = self.methods.iter().find(is_named)?;
        let output = method.output.as_ref()?;
        definition_of_type(self.parsed, method.module, Some(of), output)
    }

    fn type_of_field(&self, of: usize, member: &Member) -> Option<usize> {
        let definition = &self.parsed.definitions[of];
        let scope = &self.parsed.modules[definition.module];
        let fields = scope.items.iter().find_map(|item| match item {
            Item::Struct(item) if item.ident == definition.name => Some(&item.fields),
            _ => None,
        })?;
        let field = match member {
            Member::Named(name) => fields
                .iter()
                .find(|field| field.ident.as_ref() == Some(name))?,
            Member::Unnamed(index) => fields.iter().nth(usize::try_from(index.index).ok()?)?,
        };
        definition_of_type(self.parsed, definition.module, Some(of), &field.ty)
    }

    fn enter_function(&mut self, signature: &Signature) {
        self.variables.clear();
        for input in &signature.inputs {
            let FnArg::Typed(input) = input else { continue };
            let Pat::Ident(name) = &*input.pat else {
                continue;
            };
            let of = definition_of_type(self.parsed, self.module, self.of, &input.ty);
            self.set_variable(&name.ident.to_string(), of);
        }
    }

    fn set_variable(&mut self, name: &str, of: Option<usize>) {
        match of {
            Some(of) => self.variables.insert(name.into(), of),
            None => self.variables.remove(name),
        };
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_attribute(&mut self, _attribute: &'ast syn::Attribute) {
        // Attributes name no items of the crate.
    }

    fn visit_visibility(&mut self, _visibility: &'ast syn::Visibility) {
        // The module for which an item is visible is not used by it.
    }

    fn visit_item(&mut self, item: &'ast Item) {
        if config::may_exist(modules::attributes(item), self.parsed.tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        let path = &self.parsed.files[self.parsed.modules[self.module].file];
        let is_door = path.ends_with("/mod.rs") || path.ends_with("/lib.rs");
        // A re-export is a way to the file that defines the name, used where the name is.
        if is_door && modules::is_reexport(import) {
            return;
        }
        let line = import.span().start().line;
        for (_, path) in modules::imports(import) {
            self.add_path(&path, line);
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        self.of = definition_of_type(self.parsed, self.module, None, &block.self_ty);
        visit::visit_item_impl(self, block);
        self.of = None;
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[syn::Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if config::may_exist(attributes, self.parsed.tests) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast Field) {
        if config::may_exist(&field.attrs, self.parsed.tests) {
            visit::visit_field(self, field);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.enter_function(&function.sig);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.enter_function(&function.sig);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if !config::may_exist(&local.attrs, self.parsed.tests) {
            return;
        }
        visit::visit_local(self, local);
        match &local.pat {
            Pat::Ident(name) => {
                let of = local
                    .init
                    .as_ref()
                    .and_then(|init| self.type_of(&init.expr));
                self.set_variable(&name.ident.to_string(), of);
            }
            Pat::Type(typed) => {
                if let Pat::Ident(name) = &*typed.pat {
                    let of = definition_of_type(self.parsed, self.module, self.of, &typed.ty);
                    self.set_variable(&name.ident.to_string(), of);
                }
            }
            _ => {}
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if let Some(of) = self.type_of(&call.receiver) {
            let line = call.method.span().start().line;
            self.add_method(of, &call.method.to_string(), line);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            self.add_path(&names(path), path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        // The arguments of most macros are expressions; of the others the paths are read.
        let parser = Punctuated::<Expr, Token![,]>::parse_terminated;
        match parser.parse2(invocation.tokens.clone()) {
            Ok(arguments) => {
                for argument in arguments {
                    Visit::visit_expr(self, &argument);
                }
            }
            Err(_) => self.add_tokens(invocation.tokens.clone()),
        }
    }
}

fn names(path: &Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect()
}

/// The definition that a type names, through references and aliases; `Self` is `own`.
fn definition_of_type(
    parsed: &Crate,
    module: usize,
    own: Option<usize>,
    of: &Type,
) -> Option<usize> {
    match of {
        Type::Reference(inner) => definition_of_type(parsed, module, own, &inner.elem),
        Type::Paren(inner) => definition_of_type(parsed, module, own, &inner.elem),
        Type::Path(path) => {
            let path = names(&path.path);
            if path == ["Self"] {
                return own;
            }
            let targets = parsed.resolve(module, &path);
            targets.into_iter().find_map(|target| match target {
                Target::Definition(definition, rest) if rest.is_empty() => {
                    let named = &parsed.definitions[definition];
                    match &named.alias {
                        Some(alias) => definition_of_type(parsed, named.module, None, alias),
                        None => Some(definition),
                    }
                }
                _ => None,
            })
        }
        _ => None,
    }
}
