//! Documents compared with schemas. Where one of several schemas must fit, the errors of the one that
//! came closest are told as well.

use std::collections::BTreeMap;

use regorus::Value;
use serde_json::{Number, Value as Json};

use super::compile::{Additional, Compiled, Dependency, Id, Items, Schema};
use super::format::is_format;
use super::{Fault, MAX_DEPTH, MAX_ERRORS, MAX_STEPS};

/// What is wrong with a part of a document.
#[derive(Debug, Clone)]
pub(super) struct Complaint {
    kind: &'static str,
    field: String,
    text: String,
}

impl From<Complaint> for Value {
    fn from(complaint: Complaint) -> Self {
        let error = format!("{}: {}", complaint.field, complaint.text);
        Self::from(BTreeMap::from([
            (Self::from("desc"), Self::from(complaint.text)),
            (Self::from("error"), Self::from(error)),
            (Self::from("field"), Self::from(complaint.field)),
            (Self::from("type"), Self::from(complaint.kind)),
        ]))
    }
}

/// Errors, and how well the rest did.
#[derive(Debug, Default)]
struct Outcome {
    complaints: Vec<Complaint>,
    score: i64,
}

impl Outcome {
    fn complain(&mut self, kind: &'static str, path: &str, text: impl Into<String>) {
        let field = path.strip_prefix("(root).").unwrap_or(path);
        self.complaints.push(Complaint {
            kind,
            field: field.to_owned(),
            text: text.into(),
        });
        self.score -= 2;
    }

    fn merge(&mut self, other: Self) {
        self.complaints.extend(other.complaints);
        self.score += other.score;
    }

    fn is_valid(&self) -> bool {
        self.complaints.is_empty()
    }
}

struct Checker<'a> {
    compiled: &'a Compiled,
    steps: usize,
    depth: usize,
}

pub(super) fn check(compiled: &Compiled, document: &Json) -> Result<Vec<Complaint>, Fault> {
    let mut checker = Checker {
        compiled,
        steps: 0,
        depth: 0,
    };
    let outcome = checker.fresh(0, document, "(root)")?;
    Ok(outcome.complaints)
}

fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if is_integer(number) => "integer",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// Rule: numbers are equal by value, however they are written.
pub(super) fn same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => compare(one, other).is_eq(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let is_same = |(name, value)| other.get(name).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(is_same)
        }
        (one, other) => one == other,
    }
}

fn compare(one: &Number, other: &Number) -> std::cmp::Ordering {
    let exact = |number: &Number| {
        let signed = number.as_i64().map(i128::from);
        signed.or_else(|| number.as_u64().map(i128::from))
    };
    match (exact(one), exact(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => {
            let float = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
            float(one).total_cmp(&float(other))
        }
    }
}

/// Rule: as Go writes a float, and a whole one without a point.
fn written(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => super::super::format::plain_float(float),
        _ => number.to_string(),
    }
}

/// A value as it is told in errors: JSON, in order.
fn listed(values: &[Json]) -> String {
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    values.join(", ")
}

impl<'a> Checker<'a> {
    fn fresh(&mut self, id: Id, value: &Json, path: &str) -> Result<Outcome, Fault> {
        let mut outcome = Outcome::default();
        self.value(id, value, path, &mut outcome)?;
        Ok(outcome)
    }

    fn value(
        &mut self,
        id: Id,
        value: &Json,
        path: &str,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        self.steps += 1;
        self.depth += 1;
        if self.steps > MAX_STEPS
            || self.depth > 2 * MAX_DEPTH
            || outcome.complaints.len() > MAX_ERRORS
        {
            return Err(Fault::Limit(
                "a document that takes so long to check is refused",
            ));
        }
        let compiled = self.compiled;
        let Some(schema) = compiled.schemas.get(id) else {
            return Ok(());
        };
        match (schema.always, schema.reference) {
            (Some(true), _) => {}
            (Some(false), _) => outcome.complain("false", path, "False always fails validation"),
            (None, Some(reference)) => self.value(reference, value, path, outcome)?,
            (None, None) => self.keywords(schema, value, path, outcome)?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn keywords(
        &mut self,
        schema: &'a Schema,
        value: &Json,
        path: &str,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let given = type_of(value);
        let has_type = |name: &str| schema.types.iter().any(|known| known == name);
        // Rule: integers are numbers.
        let fits = has_type(given) || (given == "integer" && has_type("number"));
        if !schema.types.is_empty() && !fits {
            let expected = match schema.types.as_slice() {
                [one] => one.clone(),
                several => format!("[{}]", several.join(",")),
            };
            let text = format!("Invalid type. Expected: {expected}, given: {given}");
            outcome.complain("invalid_type", path, text);
            return Ok(());
        }
        self.combinations(schema, value, path, outcome)?;
        match value {
            Json::Array(items) => self.array(schema, items, path, outcome)?,
            Json::Object(_) => self.object(schema, value, path, outcome)?,
            Json::Number(number) => numbers(schema, number, path, outcome),
            _ => {}
        }
        common(schema, value, path, outcome);
        if let Json::String(text) = value {
            strings(schema, text, path, outcome);
        }
        if let Json::Object(members) = value {
            for (name, property) in &schema.properties {
                if let Some(member) = members.get(name) {
                    self.value(*property, member, &format!("{path}.{name}"), outcome)?;
                }
            }
        }
        outcome.score += 1;
        Ok(())
    }

    fn combinations(
        &mut self,
        schema: &'a Schema,
        value: &Json,
        path: &str,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        if !schema.any_of.is_empty() {
            let (fitting, best) = self.fitting(&schema.any_of, value, path, true)?;
            if fitting == 0 {
                let text = "Must validate at least one schema (anyOf)";
                outcome.complain("number_any_of", path, text);
                outcome.merge(best);
            }
        }
        if !schema.one_of.is_empty() {
            let (fitting, best) = self.fitting(&schema.one_of, value, path, false)?;
            if fitting != 1 {
                let text = "Must validate one and only one schema (oneOf)";
                outcome.complain("number_one_of", path, text);
                if fitting == 0 {
                    outcome.merge(best);
                }
            }
        }
        let mut all = true;
        for part in &schema.all_of {
            let part = self.fresh(*part, value, path)?;
            all &= part.is_valid();
            outcome.merge(part);
        }
        if !all {
            let text = "Must validate all the schemas (allOf)";
            outcome.complain("number_all_of", path, text);
        }
        if let Some(not) = schema.not
            && self.fresh(not, value, path)?.is_valid()
        {
            let text = "Must not validate the schema (not)";
            outcome.complain("number_not", path, text);
        }
        self.dependencies(schema, value, path, outcome)?;
        self.condition(schema, value, path, outcome)?;
        outcome.score += 1;
        Ok(())
    }

    /// How many schemas fit, and what the closest of the others says.
    fn fitting(
        &mut self,
        schemas: &[Id],
        value: &Json,
        path: &str,
        one_is_enough: bool,
    ) -> Result<(usize, Outcome), Fault> {
        let mut fitting = 0;
        let mut best: Option<Outcome> = None;
        for schema in schemas {
            let outcome = self.fresh(*schema, value, path)?;
            if outcome.is_valid() {
                fitting += 1;
                if one_is_enough {
                    break;
                }
            } else if best.as_ref().is_none_or(|best| outcome.score > best.score) {
                best = Some(outcome);
            }
        }
        Ok((fitting, best.unwrap_or_default()))
    }

    fn dependencies(
        &mut self,
        schema: &'a Schema,
        value: &Json,
        path: &str,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let Json::Object(members) = value else {
            return Ok(());
        };
        for (name, dependency) in &schema.dependencies {
            if !members.contains_key(name) {
                continue;
            }
            match dependency {
                Dependency::Names(names) => {
                    for name in names.iter().filter(|name| !members.contains_key(*name)) {
                        let text = format!("Has a dependency on {name}");
                        outcome.complain("missing_dependency", path, text);
                    }
                }
                Dependency::Schema(schema) => self.value(*schema, value, path, outcome)?,
            }
        }
        Ok(())
    }

    fn condition(
        &mut self,
        schema: &'a Schema,
        value: &Json,
        path: &str,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let Some(condition) = schema.condition else {
            return Ok(());
        };
        let holds = self.fresh(condition, value, path)?.is_valid();
        let (branch, kind, text) = match holds {
            true => (
                schema.then,
                "condition_then",
                "Must validate \"then\" as \"if\" was valid",
            ),
            false => (
                schema.otherwise,
                "condition_else",
                "Must validate \"else\" as \"if\" was not valid",
            ),
        };
        if let Some(branch) = branch {
            let branch = self.fresh(branch, value, path)?;
            if !branch.is_valid() {
                outcome.complain(kind, path, text);
                outcome.merge(branch);
            }
        }
        Ok(())
    }

    fn array(
        &mut self,
        schema: &'a Schema,
        items: &[Json],
        path: &str,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let place = |index: usize| format!("{path}.{index}");
        for (index, item) in items.iter().enumerate() {
            let schema = match &schema.items {
                Items::Any => None,
                Items::All(schema) => Some(*schema),
                Items::Each(each) => match (each.get(index), schema.additional_items) {
                    (Some(schema), _) => Some(*schema),
                    (None, Some(Additional::Schema(schema))) if !each.is_empty() => Some(schema),
                    _ => None,
                },
            };
            if let Some(schema) = schema {
                let item = self.fresh(schema, item, &place(index))?;
                outcome.merge(item);
            }
        }
        let named = match &schema.items {
            Items::Each(each) if !each.is_empty() => each.len(),
            _ => usize::MAX,
        };
        let forbidden = matches!(schema.additional_items, Some(Additional::Allowed(false)));
        if items.len() > named && forbidden {
            let text = "No additional items allowed on array";
            outcome.complain("array_no_additional_items", path, text);
        }
        let count = items.len() as u64;
        if let Some(least) = schema.items_count.least.filter(|least| count < *least) {
            let text = format!("Array must have at least {least} items");
            outcome.complain("array_min_items", path, text);
        }
        if let Some(most) = schema.items_count.most.filter(|most| count > *most) {
            let text = format!("Array must have at most {most} items");
            outcome.complain("array_max_items", path, text);
        }
        if schema.unique {
            self.unique(items, path, outcome)?;
        }
        if let Some(contains) = schema.contains {
            self.contains(contains, items, path, outcome)?;
        }
        outcome.score += 1;
        Ok(())
    }

    /// Rule: each that was there before is told, with the last of its like.
    fn unique(&mut self, items: &[Json], path: &str, outcome: &mut Outcome) -> Result<(), Fault> {
        for (index, item) in items.iter().enumerate() {
            self.steps += index;
            if self.steps > MAX_STEPS {
                return Err(Fault::Limit(
                    "a document that takes so long to check is refused",
                ));
            }
            let before = items.iter().take(index);
            let before = before.enumerate().filter(|(_, before)| same(before, item));
            if let Some((first, _)) = before.last() {
                let text = format!("array items[{first},{index}] must be unique");
                outcome.complain("unique", path, text);
            }
        }
        Ok(())
    }

    fn contains(
        &mut self,
        schema: Id,
        items: &[Json],
        path: &str,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let mut best: Option<Outcome> = None;
        for (index, item) in items.iter().enumerate() {
            let item = self.fresh(schema, item, &format!("{path}.{index}"))?;
            if item.is_valid() {
                return Ok(());
            }
            if best.as_ref().is_none_or(|best| item.score > best.score) {
                best = Some(item);
            }
        }
        let text = "At least one of the items must match";
        outcome.complain("contains", path, text);
        outcome.merge(best.unwrap_or_default());
        Ok(())
    }

    fn object(
        &mut self,
        schema: &'a Schema,
        value: &Json,
        path: &str,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let Json::Object(members) = value else {
            return Ok(());
        };
        let count = members.len() as u64;
        if let Some(least) = schema.count.least.filter(|least| count < *least) {
            let text = format!("Must have at least {least} properties");
            outcome.complain("array_min_properties", path, text);
        }
        if let Some(most) = schema.count.most.filter(|most| count > *most) {
            let text = format!("Must have at most {most} properties");
            outcome.complain("array_max_properties", path, text);
        }
        for name in &schema.required {
            match members.contains_key(name) {
                true => outcome.score += 1,
                false => outcome.complain("required", path, format!("{name} is required")),
            }
        }
        for (name, member) in members {
            let place = format!("{path}.{name}");
            let mut is_known = schema.properties.iter().any(|(known, _)| known == name);
            for (pattern, property) in &schema.pattern_properties {
                if pattern.is_match(name) {
                    is_known = true;
                    let member = self.fresh(*property, member, &place)?;
                    outcome.merge(member);
                }
            }
            match schema.additional_properties.filter(|_| !is_known) {
                Some(Additional::Allowed(false)) => {
                    let text = format!("Additional property {name} is not allowed");
                    outcome.complain("additional_property_not_allowed", path, text);
                }
                Some(Additional::Schema(schema)) => {
                    let member = self.fresh(schema, member, &place)?;
                    outcome.merge(member);
                }
                _ => {}
            }
        }
        if let Some(names) = schema.property_names {
            for name in members.keys() {
                let named = self.fresh(names, &Json::from(name.as_str()), path)?;
                if !named.is_valid() {
                    let text = format!("Property name of \"{name}\" does not match");
                    outcome.complain("invalid_property_name", path, text);
                    outcome.merge(named);
                }
            }
        }
        outcome.score += 1;
        Ok(())
    }
}

// === Keywords without schemas ===

fn common(schema: &Schema, value: &Json, path: &str, outcome: &mut Outcome) {
    let field = path.strip_prefix("(root).").unwrap_or(path);
    if let Some(constant) = &schema.constant
        && !same(constant, value)
    {
        let text = format!("{field} does not match: {constant}");
        outcome.complain("const", path, text);
    }
    if let Some(choices) = &schema.choices
        && !choices.iter().any(|choice| same(choice, value))
    {
        let text = format!("{field} must be one of the following: {}", listed(choices));
        outcome.complain("enum", path, text);
    }
    if let Some(format) = &schema.format
        && !is_format(format, value)
    {
        let text = format!("Does not match format '{format}'");
        outcome.complain("format", path, text);
    }
    outcome.score += 1;
}

fn strings(schema: &Schema, text: &str, path: &str, outcome: &mut Outcome) {
    let length = text.chars().count() as u64;
    if let Some(least) = schema.length.least.filter(|least| length < *least) {
        let text = format!("String length must be greater than or equal to {least}");
        outcome.complain("string_gte", path, text);
    }
    if let Some(most) = schema.length.most.filter(|most| length > *most) {
        let text = format!("String length must be less than or equal to {most}");
        outcome.complain("string_lte", path, text);
    }
    if let Some((pattern, source)) = &schema.pattern
        && !pattern.is_match(text)
    {
        let text = format!("Does not match pattern '{source}'");
        outcome.complain("pattern", path, text);
    }
    outcome.score += 1;
}

fn numbers(schema: &Schema, number: &Number, path: &str, outcome: &mut Outcome) {
    if let Some(multiple) = &schema.multiple_of
        && !is_multiple(number, multiple)
    {
        let text = format!("Must be a multiple of {}", written(multiple));
        outcome.complain("multiple_of", path, text);
    }
    let mut bound = |bound: &Option<Number>, breaks: fn(std::cmp::Ordering) -> bool, kind, text| {
        if let Some(bound) = bound
            && breaks(compare(number, bound))
        {
            outcome.complain(kind, path, format!("Must be {text} {}", written(bound)));
        }
    };
    let (most, below) = ("less than or equal to", "less than");
    bound(
        &schema.maximum,
        std::cmp::Ordering::is_gt,
        "number_lte",
        most,
    );
    bound(
        &schema.exclusive_maximum,
        std::cmp::Ordering::is_ge,
        "number_lt",
        below,
    );
    let (least, above) = ("greater than or equal to", "greater than");
    bound(
        &schema.minimum,
        std::cmp::Ordering::is_lt,
        "number_gte",
        least,
    );
    bound(
        &schema.exclusive_minimum,
        std::cmp::Ordering::is_le,
        "number_gt",
        above,
    );
    outcome.score += 1;
}

/// Rule: exactly, in decimals.
fn is_multiple(number: &Number, of: &Number) -> bool {
    let exact = || {
        let (number, of) = (decimal(number)?, decimal(of)?);
        let scale = number.1.max(of.1);
        let scaled = |(digits, own): (i128, u32)| {
            digits.checked_mul(10i128.checked_pow(scale.checked_sub(own)?)?)
        };
        scaled(number)?.checked_rem(scaled(of)?)
    };
    let rough = || {
        let quotient = number.as_f64()? / of.as_f64()?;
        Some(quotient.fract() == 0.0)
    };
    match exact() {
        Some(rest) => rest == 0,
        None => rough().unwrap_or(false),
    }
}

/// Digits, and how many of them are behind the point.
fn decimal(number: &Number) -> Option<(i128, u32)> {
    let text = match number.is_f64() {
        true => format!("{}", number.as_f64()?),
        false => number.to_string(),
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{whole}{part}").parse().ok()?;
    Some((digits, u32::try_from(part.len()).ok()?))
}
