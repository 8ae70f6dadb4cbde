//! The module tree of a crate: files, modules, and to which definition a path leads.

use alloc::collections::BTreeMap;

use syn::{Item, ItemUse, Type, UseTree, Visibility};

use crate::config::{self, Predicate, Tests};
use crate::source::Source;

/// Imports that are followed from one name to the next before resolution gives up.
const MAX_DEPTH: usize = 16;

/// A crate, parsed.
pub(crate) struct Crate {
    /// Paths of the files that are part of the crate.
    pub(crate) files: Vec<String>,
    /// All modules; the first is the root.
    pub(crate) modules: Vec<Module>,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) tests: Tests,
}

/// A module, with a file of its own or inside one.
pub(crate) struct Module {
    /// The file that holds the text of the module.
    pub(crate) file: usize,
    pub(crate) items: Vec<Item>,
    /// Under which conditions the module exists.
    pub(crate) predicates: Vec<Predicate>,
    parent: Option<usize>,
    names: BTreeMap<String, Vec<Name>>,
    globs: Vec<Vec<String>>,
}

/// A named item that is no module: a type, trait, function, constant, static or macro.
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) module: usize,
    /// The type that an alias names.
    pub(crate) alias: Option<Type>,
}

#[derive(Debug, Clone)]
enum Name {
    Module(usize),
    Definition(usize),
    Import(Vec<String>),
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Module(usize),
    /// A definition, and the names that follow it in the path: a variant, a method.
    Definition(usize, Vec<String>),
    /// A name of another crate, or of the language.
    External,
}

impl Crate {
    /// Parses the crate whose root is `src/lib.rs` among `sources`.
    ///
    /// # Panics
    /// If a file does not parse, or the file of a module is missing.
    pub(crate) fn parse(sources: &[Source], tests: Tests) -> Self {
        let mut parsed = Self {
            files: Vec::new(),
            modules: Vec::new(),
            definitions: Vec::new(),
            tests,
        };
        let texts: BTreeMap<&str, &str> = sources
            .iter()
            .map(|source| (source.path.as_str(), source.text.as_str()))
            .collect();
        parsed.add_file(&texts, "src/lib.rs", None, Vec::new());
        parsed
    }

    fn add_file(
        &mut self,
        texts: &BTreeMap<&str, &str>,
        path: &str,
        parent: Option<usize>,
        predicates: Vec<Predicate>,
    ) -> usize {
        let text = texts.get(path).expect("the file of a module");
        let parsed = match syn::parse_file(text) {
            Ok(parsed) => parsed,
            Err(error) => unreachable!("{path}: {error}"),
        };
        self.files.push(path.into());
        let file = self.files.len() - 1;
        let folder = folder_of_children(path);
        self.add_module(texts, file, &folder, parent, predicates, parsed.items)
    }

    fn add_module(
        &mut self,
        texts: &BTreeMap<&str, &str>,
        file: usize,
        folder: &str,
        parent: Option<usize>,
        predicates: Vec<Predicate>,
        items: Vec<Item>,
    ) -> usize {
        let module = self.modules.len();
        self.modules.push(Module {
            file,
            items: Vec::new(),
            predicates: predicates.clone(),
            parent,
            names: BTreeMap::new(),
            globs: Vec::new(),
        });
        for item in items {
            if !config::may_exist(attributes(&item), self.tests) {
                continue;
            }
            if let Item::Mod(inner) = item {
                let mut conditions = predicates.clone();
                conditions.extend(config::predicates(&inner.attrs));
                let name = inner.ident.to_string();
                let below = format!("{folder}/{name}");
                let child = match inner.content {
                    Some((_, items)) => {
                        self.add_module(texts, file, &below, Some(module), conditions, items)
                    }
                    None => {
                        let alone = format!("{below}.rs");
                        let path = if texts.contains_key(alone.as_str()) {
                            alone
                        } else {
                            format!("{below}/mod.rs")
                        };
                        self.add_file(texts, &path, Some(module), conditions)
                    }
                };
                self.add_name(module, name, Name::Module(child));
            } else {
                self.add_names_of(module, &item);
                self.modules[module].items.push(item);
            }
        }
        module
    }

    fn add_name(&mut self, module: usize, name: String, what: Name) {
        let names = &mut self.modules[module].names;
        names.entry(name).or_default().push(what);
    }

    fn add_names_of(&mut self, module: usize, item: &Item) {
        let mut alias = None;
        let name = match item {
            Item::Use(import) => {
                for (name, path) in imports(import) {
                    if name == "*" {
                        self.modules[module].globs.push(path);
                    } else {
                        self.add_name(module, name, Name::Import(path));
                    }
                }
                return;
            }
            Item::Type(item) => {
                alias = Some((*item.ty).clone());
                &item.ident
            }
            Item::Struct(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Union(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Const(item) => &item.ident,
            Item::Static(item) => &item.ident,
            Item::Macro(item) => match &item.ident {
                Some(name) => name,
                None => return,
            },
            _ => return,
        };
        let name = name.to_string();
        let definition = self.definitions.len();
        self.definitions.push(Definition {
            name: name.clone(),
            module,
            alias,
        });
        self.add_name(module, name, Name::Definition(definition));
    }

    /// The file of a definition.
    pub(crate) fn file_of(&self, definition: usize) -> usize {
        self.modules[self.definitions[definition].module].file
    }

    /// All targets to which `path`, written in `module`, may lead. A path into this crate has none
    /// if there is no such item.
    pub(crate) fn resolve(&self, module: usize, path: &[String]) -> Vec<Target> {
        self.resolve_within(module, path, MAX_DEPTH)
    }

    fn resolve_within(&self, module: usize, path: &[String], depth: usize) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else {
            return vec![Target::Module(module)];
        };
        match first.as_str() {
            "crate" => self.walk(Target::Module(0), rest, depth),
            "self" => self.walk(Target::Module(module), rest, depth),
            "super" => match self.modules[module].parent {
                Some(parent) => self.resolve_super(parent, rest, depth),
                None => Vec::new(),
            },
            name => {
                let mut targets = self.lookup(module, name, depth);
                if targets.is_empty() {
                    targets.push(Target::External);
                }
                targets
                    .into_iter()
                    .flat_map(|target| self.walk(target, rest, depth))
                    .collect()
            }
        }
    }

    fn resolve_super(&self, parent: usize, rest: &[String], depth: usize) -> Vec<Target> {
        if rest.first().is_some_and(|name| name == "super") {
            self.resolve_within(parent, rest, depth)
        } else {
            self.walk(Target::Module(parent), rest, depth)
        }
    }

    fn walk(&self, from: Target, rest: &[String], depth: usize) -> Vec<Target> {
        match (from, rest.split_first()) {
            (Target::Definition(definition, _), _) => {
                vec![Target::Definition(definition, rest.to_vec())]
            }
            (Target::External, _) => vec![Target::External],
            (module, None) => vec![module],
            (Target::Module(module), Some((name, rest))) => self
                .lookup(module, name, depth)
                .into_iter()
                .flat_map(|target| self.walk(target, rest, depth))
                .collect(),
        }
    }

    fn lookup(&self, module: usize, name: &str, depth: usize) -> Vec<Target> {
        let Some(depth) = depth.checked_sub(1) else {
            return Vec::new();
        };
        let scope = &self.modules[module];
        let named = scope.names.get(name).into_iter().flatten();
        let found: Vec<Target> = named
            .flat_map(|name| match name {
                Name::Module(module) => vec![Target::Module(*module)],
                Name::Definition(definition) => vec![Target::Definition(*definition, Vec::new())],
                Name::Import(path) => self.resolve_within(module, path, depth),
            })
            .collect();
        if !found.is_empty() {
            return found;
        }
        let globs = scope.globs.iter();
        globs
            .flat_map(|path| self.resolve_within(module, path, depth))
            .flat_map(|target| match target {
                Target::Module(inner) if inner != module => self.lookup(inner, name, depth),
                _ => Vec::new(),
            })
            .collect()
    }
}

/// The names that an import brings, `*` for all, each with its path.
pub(crate) fn imports(import: &ItemUse) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    collect_imports(&import.tree, &mut Vec::new(), &mut found);
    found
}

fn collect_imports(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<(String, Vec<String>)>) {
    let with = |name: &str| {
        let mut whole = path.clone();
        if name != "self" || whole.is_empty() {
            whole.push(name.into());
        }
        whole
    };
    match tree {
        UseTree::Path(step) => {
            path.push(step.ident.to_string());
            collect_imports(&step.tree, path, found);
            path.pop();
        }
        UseTree::Name(name) => {
            let whole = with(&name.ident.to_string());
            let last = whole.last().expect("a name").clone();
            found.push((last, whole));
        }
        UseTree::Rename(rename) => {
            let whole = with(&rename.ident.to_string());
            found.push((rename.rename.to_string(), whole));
        }
        UseTree::Glob(_) => found.push(("*".into(), path.clone())),
        UseTree::Group(group) => {
            for tree in &group.items {
                collect_imports(tree, path, found);
            }
        }
    }
}

/// Whether an import passes a name on to other modules.
pub(crate) fn is_reexport(import: &ItemUse) -> bool {
    !matches!(import.vis, Visibility::Inherited)
}

fn folder_of_children(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').expect("a folder");
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.into(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

/// The attributes of an item.
pub(crate) fn attributes(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
