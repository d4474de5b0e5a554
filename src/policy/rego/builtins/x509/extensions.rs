//! Extensions of certificates (RFC 5280 section 4.2), each read as Go reads it, and what they come to.
//! Names that certificates are for, and constraints on them, are left to `names`.

use std::collections::BTreeSet;

use num_bigint::BigUint;
use regorus::Value;

use super::super::der::{
    Element, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Oid, Reader, arcs, context, explicit, oid,
    small,
};
use super::super::go_json::{bytes, list, object};
use super::super::{Failure, go_json};
use super::names::{Names, Subtrees};

const SUBJECT_ALTERNATIVE_NAME: &[u32] = &[2, 5, 29, 17];
const AUTHORITY_INFO_ACCESS: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const ISSUERS: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 48, 2];
const OCSP: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 48, 1];
/// Key usages that have a number of Go's, which is their place.
const KEY_USAGES: [&[u32]; 14] = [
    &[2, 5, 29, 37, 0],
    &[1, 3, 6, 1, 5, 5, 7, 3, 1],
    &[1, 3, 6, 1, 5, 5, 7, 3, 2],
    &[1, 3, 6, 1, 5, 5, 7, 3, 3],
    &[1, 3, 6, 1, 5, 5, 7, 3, 4],
    &[1, 3, 6, 1, 5, 5, 7, 3, 5],
    &[1, 3, 6, 1, 5, 5, 7, 3, 6],
    &[1, 3, 6, 1, 5, 5, 7, 3, 7],
    &[1, 3, 6, 1, 5, 5, 7, 3, 8],
    &[1, 3, 6, 1, 5, 5, 7, 3, 9],
    &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3],
    &[2, 16, 840, 1, 113_730, 4, 1],
    &[1, 3, 6, 1, 4, 1, 311, 2, 1, 22],
    &[1, 3, 6, 1, 4, 1, 311, 61, 1, 1],
];

/// An extension as it stands in the certificate.
pub(super) struct Extension<'a> {
    pub(super) id: Oid,
    pub(super) is_critical: bool,
    pub(super) value: &'a [u8],
}

/// What the extensions say.
#[derive(Default)]
pub(super) struct Extended<'a> {
    /// Critical ones that nobody here understands.
    pub(super) unhandled: Vec<Oid>,
    /// Bits of the key usage, the first is the lowest.
    pub(super) key_usage: u32,
    /// Places in `KEY_USAGES`.
    pub(super) extended_key_usage: Vec<usize>,
    pub(super) unknown_key_usage: Vec<Oid>,
    pub(super) basic: Option<BasicConstraints>,
    pub(super) subject_key_id: Option<&'a [u8]>,
    pub(super) authority_key_id: Option<&'a [u8]>,
    pub(super) ocsp_servers: Vec<&'a [u8]>,
    pub(super) issuer_urls: Vec<&'a [u8]>,
    pub(super) names: Names<'a>,
    pub(super) constraints_critical: bool,
    pub(super) permitted: Subtrees<'a>,
    pub(super) excluded: Subtrees<'a>,
    pub(super) crl_urls: Vec<&'a [u8]>,
    /// Encoded object identifiers.
    pub(super) policies: Option<Vec<&'a [u8]>>,
    pub(super) mappings: Vec<(&'a [u8], &'a [u8])>,
    pub(super) require_explicit_policy: Option<i64>,
    pub(super) inhibit_policy_mapping: Option<i64>,
    pub(super) inhibit_any_policy: Option<i64>,
}

pub(super) struct BasicConstraints {
    pub(super) is_ca: bool,
    /// Below zero if there is no limit.
    pub(super) path_length: i64,
}

// === impl Extension ===

impl<'a> Extension<'a> {
    /// A SEQUENCE of extensions, of which no two are of one kind.
    pub(super) fn all(mut extensions: Reader<'a>) -> Result<Vec<Self>, Failure> {
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        while !extensions.is_empty() {
            let mut extension = extensions.sequence()?;
            let extension = Self {
                id: extension.oid()?,
                is_critical: extension.default_false()?,
                value: extension.content(OCTET_STRING)?,
            };
            if !seen.insert(extension.id.clone()) {
                return Err(Failure::Failed("duplicate extension"));
            }
            all.push(extension);
        }
        Ok(all)
    }

    pub(super) fn is_names(&self) -> bool {
        self.id == SUBJECT_ALTERNATIVE_NAME
    }

    pub(super) fn to_value(&self) -> Value {
        object([
            ("Id", go_json::oid(&self.id)),
            ("Critical", Value::from(self.is_critical)),
            ("Value", bytes(self.value)),
        ])
    }

    /// Rule (RFC 5280): some extensions must not be critical.
    fn not_critical(&self) -> Result<(), Failure> {
        match self.is_critical {
            true => Err(Failure::Failed(
                "an extension is incorrectly marked critical",
            )),
            false => Ok(()),
        }
    }
}

// === impl Extended ===

impl<'a> Extended<'a> {
    pub(super) fn of(extensions: &[Extension<'a>]) -> Result<Self, Failure> {
        let mut extended = Self::default();
        for extension in extensions {
            let is_handled = extended.take(extension)?;
            // Rule: what is critical and not understood forbids any use.
            if extension.is_critical && !is_handled {
                extended.unhandled.push(extension.id.clone());
            }
        }
        Ok(extended)
    }

    /// Whether the extension is understood.
    fn take(&mut self, extension: &Extension<'a>) -> Result<bool, Failure> {
        let mut value = Reader::new(extension.value);
        match extension.id.as_slice() {
            [2, 5, 29, 14] => {
                extension.not_critical()?;
                self.subject_key_id = Some(value.content(OCTET_STRING)?);
            }
            [2, 5, 29, 15] => self.key_usage = key_usage(&mut value)?,
            SUBJECT_ALTERNATIVE_NAME => {
                self.names = Names::parse(value)?;
                return Ok(!self.names.is_empty());
            }
            [2, 5, 29, 19] => self.basic = Some(BasicConstraints::parse(value.sequence()?)?),
            [2, 5, 29, 30] => return self.take_constraints(extension),
            [2, 5, 29, 31] => self.take_crls(value.sequence()?)?,
            [2, 5, 29, 32] => self.policies = Some(policies(value.sequence()?)?),
            [2, 5, 29, 33] => self.take_mappings(value.sequence()?)?,
            [2, 5, 29, 35] => {
                extension.not_critical()?;
                let mut identifier = value.sequence()?;
                let id = identifier.optional(context(0))?;
                self.authority_key_id = id.map(|id| id.content);
            }
            [2, 5, 29, 36] => self.take_policy_constraints(value.sequence()?)?,
            [2, 5, 29, 37] => self.take_key_usages(value.sequence()?)?,
            [2, 5, 29, 54] => self.inhibit_any_policy = Some(value.integer()?),
            AUTHORITY_INFO_ACCESS => {
                extension.not_critical()?;
                self.take_access(value.sequence()?)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Rule: one of the two lists at least, and none that is empty.
    fn take_constraints(&mut self, extension: &Extension<'a>) -> Result<bool, Failure> {
        let mut outer = Reader::new(extension.value);
        let mut lists = outer.sequence()?;
        let (permitted, excluded) = (lists.optional(explicit(0))?, lists.optional(explicit(1))?);
        let mut lists_there = [&permitted, &excluded].into_iter().flatten();
        let has_empty = lists_there.any(|list| list.content.is_empty());
        let has_none = permitted.is_none() && excluded.is_none();
        if !outer.is_empty() || !lists.is_empty() || has_empty || has_none {
            return Err(Failure::Failed("invalid name constraints"));
        }
        let subtrees = |list: Option<Element<'a>>| {
            Subtrees::parse(Reader::new(list.map_or(&[], |list| list.content)))
        };
        (self.permitted, self.excluded) = (subtrees(permitted)?, subtrees(excluded)?);
        self.constraints_critical = extension.is_critical;
        Ok(!self.permitted.has_unknown && !self.excluded.has_unknown)
    }

    /// Rule: of each point the URLs that stand first.
    fn take_crls(&mut self, mut points: Reader<'a>) -> Result<(), Failure> {
        while !points.is_empty() {
            let mut point = points.sequence()?;
            let Some(name) = point.optional(explicit(0))? else {
                continue;
            };
            let mut names = Reader::new(name.content).inside(explicit(0))?;
            while let Some(url) = names.optional(context(6))? {
                self.crl_urls.push(url.content);
            }
        }
        Ok(())
    }

    fn take_mappings(&mut self, mut mappings: Reader<'a>) -> Result<(), Failure> {
        while !mappings.is_empty() {
            let mut mapping = mappings.sequence()?;
            let (issuer, subject) = (policy(&mut mapping)?, policy(&mut mapping)?);
            self.mappings.push((issuer, subject));
        }
        Ok(())
    }

    fn take_policy_constraints(&mut self, mut constraints: Reader<'a>) -> Result<(), Failure> {
        let mut number = |tag| {
            let number = constraints.optional(context(tag))?;
            number.map(|number| small(number.content)).transpose()
        };
        self.require_explicit_policy = number(0)?;
        self.inhibit_policy_mapping = number(1)?;
        Ok(())
    }

    fn take_key_usages(&mut self, mut usages: Reader<'a>) -> Result<(), Failure> {
        while !usages.is_empty() {
            let usage = usages.oid()?;
            match KEY_USAGES.iter().position(|known| *known == usage) {
                Some(number) => self.extended_key_usage.push(number),
                None => self.unknown_key_usage.push(usage),
            }
        }
        Ok(())
    }

    fn take_access(&mut self, mut descriptions: Reader<'a>) -> Result<(), Failure> {
        while !descriptions.is_empty() {
            let mut description = descriptions.sequence()?;
            let method = description.oid()?;
            let Some(url) = description.optional(context(6))? else {
                continue;
            };
            match method.as_slice() {
                OCSP => self.ocsp_servers.push(url.content),
                ISSUERS => self.issuer_urls.push(url.content),
                _ => {}
            }
        }
        Ok(())
    }

    /// Policies that have numbers of usual size; `null` if there is no such extension.
    pub(super) fn policy_identifiers(&self) -> Value {
        let Some(policies) = &self.policies else {
            return Value::Null;
        };
        let small = policies.iter().filter_map(|policy| oid(policy).ok());
        Value::from(
            small
                .map(|policy| go_json::oid(&policy))
                .collect::<Vec<_>>(),
        )
    }

    pub(super) fn policies(&self) -> Value {
        list(self.policies.as_deref().unwrap_or_default(), |policy| {
            dotted(policy)
        })
    }

    pub(super) fn policy_mappings(&self) -> Value {
        list(&self.mappings, |(issuer, subject)| {
            object([
                ("IssuerDomainPolicy", dotted(issuer)),
                ("SubjectDomainPolicy", dotted(subject)),
            ])
        })
    }
}

// === impl BasicConstraints ===

impl BasicConstraints {
    fn parse(mut constraints: Reader<'_>) -> Result<Self, Failure> {
        let is_ca = constraints.default_false()?;
        let path_length = match constraints.next_is(INTEGER) {
            true => constraints.integer()?,
            false => {
                return Ok(Self {
                    is_ca,
                    path_length: -1,
                });
            }
        };
        // Rule: a length is not negative.
        if path_length < 0 {
            return Err(Failure::Failed("invalid basic constraints"));
        }
        Ok(Self { is_ca, path_length })
    }
}

fn key_usage(value: &mut Reader<'_>) -> Result<u32, Failure> {
    let bits = value.bits()?;
    let set = (0..9).filter(|index| bits.at(*index));
    Ok(set.fold(0, |usage, index| usage | 1 << index))
}

/// Rule: no policy twice.
fn policies<'a>(mut policies: Reader<'a>) -> Result<Vec<&'a [u8]>, Failure> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    while !policies.is_empty() {
        let policy = policy(&mut policies.sequence()?)?;
        if !seen.insert(policy) {
            return Err(Failure::Failed("invalid certificate policies"));
        }
        all.push(policy);
    }
    Ok(all)
}

fn policy<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Failure> {
    let policy = reader.content(OBJECT_IDENTIFIER)?;
    let is_valid = arcs(policy).is_some();
    is_valid
        .then_some(policy)
        .ok_or(Failure::Failed("invalid certificate policies"))
}

/// Rule: a policy is shown as a text, whose numbers have any size.
fn dotted(policy: &[u8]) -> Value {
    let numbers = arcs(policy).unwrap_or_default();
    let numbers: Vec<_> = numbers.iter().map(BigUint::to_string).collect();
    Value::from(numbers.join("."))
}
