//! The output of the derive macro.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Error, Field, Index, Member, Result, parse_quote_spanned};

/// The implementation of `Scannable` for a structure.
///
/// # Errors
/// `input` is no structure.
pub(super) fn scannable(input: &DeriveInput) -> Result<TokenStream> {
    let fields = match &input.data {
        Data::Struct(structure) => &structure.fields,
        Data::Enum(data) => {
            return Err(refusal(
                data.enum_token.span,
                "an enum has no pointer map: which of its words hold pointers depends on the variant",
            ));
        }
        Data::Union(data) => {
            return Err(refusal(
                data.union_token.span,
                "a union has no pointer map: which of its words hold pointers depends on the field",
            ));
        }
    };
    let entries = fields.iter().enumerate().map(|(index, field)| {
        let (member, ty) = (member(index, field), &field.ty);
        quote_spanned! {ty.span()=>
            ::archipelago::bits::Field {
                offset: ::core::mem::offset_of!(Self, #member),
                map: &<#ty as ::archipelago::bits::Scannable>::MAP,
            }
        }
    });
    let mut generics = input.generics.clone();
    if generics.type_params().next().is_some() {
        let bounds = &mut generics.make_where_clause().predicates;
        for field in fields {
            let ty = &field.ty;
            bounds.push(parse_quote_spanned! {ty.span()=> #ty: ::archipelago::bits::Scannable });
        }
    }
    let name = &input.ident;
    let (parameters, arguments, bounds) = generics.split_for_impl();
    Ok(quote! {
        // SAFETY:
        // - the map has the words of the structure's bytes;
        // - each field lies where `offset_of` says, and its pointers where its type's map says.
        #[automatically_derived]
        unsafe impl #parameters ::archipelago::bits::Scannable for #name #arguments #bounds {
            const FIELDS: &'static [::archipelago::bits::Field<'static>] = &[#(#entries),*];
            const MAP: ::archipelago::bits::PointerMap<'static> =
                ::archipelago::bits::PointerMap::from_fields(
                    ::core::mem::size_of::<Self>(),
                    <Self as ::archipelago::bits::Scannable>::FIELDS,
                );
        }
    })
}

/// The name of a field, or its number.
fn member(index: usize, field: &Field) -> Member {
    field
        .ident
        .clone()
        .map_or_else(|| Member::Unnamed(Index::from(index)), Member::Named)
}

fn refusal(span: Span, reason: &str) -> Error {
    let advice = "implement `Scannable` by hand for one whose words always mean the same";
    Error::new(span, format!("{reason}; {advice}"))
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn message(input: &DeriveInput) -> String {
        scannable(input).expect_err("it is refused").to_string()
    }

    #[test]
    fn enums_and_unions_are_refused_with_the_reason() {
        let value = parse_quote! { enum Value { Number(usize), Pointer(*mut u8) } };
        assert_eq!(
            message(&value),
            "an enum has no pointer map: which of its words hold pointers depends on the variant; \
             implement `Scannable` by hand for one whose words always mean the same"
        );
        let either = parse_quote! { union Either { number: usize, pointer: *mut u8 } };
        assert_eq!(
            message(&either),
            "a union has no pointer map: which of its words hold pointers depends on the field; \
             implement `Scannable` by hand for one whose words always mean the same"
        );
    }

    #[test]
    fn every_field_is_in_the_map_and_in_the_bounds() {
        let pair =
            parse_quote! { struct Pair<'a, T, const N: usize>(T, &'a [u8; N]) where T: Copy; };
        let text = scannable(&pair).expect("a structure").to_string();
        for part in [
            "unsafe impl < 'a , T , const N : usize > :: archipelago :: bits :: Scannable for Pair < 'a , T , N >",
            "where T : Copy , T : :: archipelago :: bits :: Scannable ,",
            "offset_of ! (Self , 0)",
            "offset_of ! (Self , 1)",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let plain = parse_quote! { struct Plain { number: usize } };
        let text = scannable(&plain).expect("a structure").to_string();
        assert!(
            text.contains("offset_of ! (Self , number)") && !text.contains("where"),
            "{text}"
        );
    }
}
