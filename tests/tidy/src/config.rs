//! Conditional compilation: `cfg` attributes as predicates that can be evaluated.

use alloc::collections::BTreeSet;

use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// A predicate of a `cfg` attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Predicate {
    /// An option by its name, with its value if it has one.
    Option(String),
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Not(Box<Predicate>),
}

/// Whether code for tests is part of what is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tests {
    Included,
    Excluded,
}

/// The predicates of all `cfg` attributes among `attributes`; the item exists if all of them hold.
pub(crate) fn predicates(attributes: &[Attribute]) -> Vec<Predicate> {
    let is_cfg = |attribute: &&Attribute| attribute.path().is_ident("cfg");
    let parse = |attribute: &Attribute| {
        let meta: Meta = attribute.parse_args().expect("a predicate");
        Predicate::of(&meta)
    };
    attributes.iter().filter(is_cfg).map(parse).collect()
}

/// Whether an item with these attributes exists in some build of the library.
pub(crate) fn may_exist(attributes: &[Attribute], tests: Tests) -> bool {
    can_hold(&predicates(attributes), tests)
}

/// Whether there is a choice of options for which all predicates hold.
pub(crate) fn can_hold(predicates: &[Predicate], tests: Tests) -> bool {
    let mut options = BTreeSet::new();
    for predicate in predicates {
        predicate.collect_options(&mut options);
    }
    if tests == Tests::Excluded {
        options.remove("test");
    }
    let options: Vec<&str> = options.into_iter().collect();
    assert!(options.len() < 12, "too many options: {options:?}");
    (0_u32..1 << options.len()).any(|choice| {
        let is_on = |name: &str| {
            let position = options.iter().position(|&option| option == name);
            position.is_some_and(|bit| choice & (1 << bit) != 0)
        };
        predicates.iter().all(|predicate| predicate.holds(&is_on))
    })
}

impl Predicate {
    fn of(meta: &Meta) -> Self {
        let name = meta.path().get_ident().expect("a name").to_string();
        match meta {
            Meta::Path(_) => Self::Option(name),
            Meta::NameValue(pair) => {
                let syn::Expr::Lit(value) = &pair.value else {
                    unreachable!("the value of an option is a literal");
                };
                let syn::Lit::Str(value) = &value.lit else {
                    unreachable!("the value of an option is a string");
                };
                Self::Option(format!("{name}={}", value.value()))
            }
            Meta::List(list) => {
                let inner = list
                    .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                    .expect("predicates");
                let mut inner: Vec<Self> = inner.iter().map(Self::of).collect();
                match name.as_str() {
                    "all" => Self::All(inner),
                    "any" => Self::Any(inner),
                    _ => Self::Not(Box::new(inner.pop().expect("a predicate"))),
                }
            }
        }
    }

    fn holds(&self, is_on: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Option(name) => is_on(name),
            Self::All(inner) => inner.iter().all(|predicate| predicate.holds(is_on)),
            Self::Any(inner) => inner.iter().any(|predicate| predicate.holds(is_on)),
            Self::Not(inner) => !inner.holds(is_on),
        }
    }

    fn collect_options<'a>(&'a self, options: &mut BTreeSet<&'a str>) {
        match self {
            Self::Option(name) => {
                options.insert(name);
            }
            Self::All(inner) | Self::Any(inner) => {
                for predicate in inner {
                    predicate.collect_options(options);
                }
            }
            Self::Not(inner) => inner.collect_options(options),
        }
    }

    /// Whether the predicate reads a Cargo feature.
    pub(crate) fn reads_feature(&self) -> bool {
        let mut options = BTreeSet::new();
        self.collect_options(&mut options);
        options.iter().any(|option| option.starts_with("feature="))
    }
}

#[test]
fn twins_of_a_feature_exclude_each_other() {
    let item: syn::ItemStruct = syn::parse_quote! {
        #[cfg(any(feature = "a", test))]
        #[cfg(not(feature = "a"))]
        struct Both;
    };
    assert!(may_exist(&item.attrs, Tests::Included));
    assert!(!may_exist(&item.attrs, Tests::Excluded));
    assert!(predicates(&item.attrs).iter().all(Predicate::reads_feature));
}
