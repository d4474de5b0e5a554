//! Documents compared with schemas. Where one of several schemas must fit, the errors of the one that
//! came closest are told as well.

use serde_json::Value as Json;

use super::model::{Additional, Compiled, Dependency, Id, Items, Schema};
use super::outcome::{Complaint, Outcome, Path, Told};
use super::values::{common, numbers, same, strings, type_of};
use super::{Fault, MAX_DEPTH, MAX_ERRORS, MAX_STEPS};

struct Checker<'a> {
    compiled: &'a Compiled,
    steps: usize,
    depth: usize,
    told: Told,
}

pub(super) fn check(compiled: &Compiled, document: &Json) -> Result<Vec<Complaint>, Fault> {
    let mut checker = Checker {
        compiled,
        steps: 0,
        depth: 0,
        told: Told::default(),
    };
    let outcome = checker.fresh(0, document, &Path::Root)?;
    match checker.told.is_too_much() {
        true => Err(too_long()),
        false => Ok(outcome.complaints),
    }
}

fn too_long() -> Fault {
    Fault::Limit("a document that takes so long to check is refused")
}

impl<'a> Checker<'a> {
    fn fresh(&mut self, id: Id, value: &Json, path: &Path<'_>) -> Result<Outcome, Fault> {
        let mut outcome = Outcome::of(&self.told);
        self.value(id, value, path, &mut outcome)?;
        Ok(outcome)
    }

    fn value(
        &mut self,
        id: Id,
        value: &Json,
        path: &Path<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        self.steps += 1;
        self.depth += 1;
        if self.steps > MAX_STEPS
            || self.depth > 2 * MAX_DEPTH
            || outcome.complaints.len() > MAX_ERRORS
            || self.told.is_too_much()
        {
            return Err(too_long());
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
        path: &Path<'_>,
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
                    self.value(*property, member, &Path::Member(path, name), outcome)?;
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
        path: &Path<'_>,
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
        path: &Path<'_>,
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
        path: &Path<'_>,
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
        path: &Path<'_>,
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
        path: &Path<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
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
                let item = self.fresh(schema, item, &Path::Item(path, index))?;
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
    fn unique(
        &mut self,
        items: &[Json],
        path: &Path<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        for (index, item) in items.iter().enumerate() {
            self.steps += index;
            if self.steps > MAX_STEPS {
                return Err(too_long());
            }
            let before = items.iter().take(index);
            let mut before = before.enumerate().filter(|(_, before)| same(before, item));
            if let Some((first, _)) = before.next_back() {
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
        path: &Path<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let mut best: Option<Outcome> = None;
        for (index, item) in items.iter().enumerate() {
            let item = self.fresh(schema, item, &Path::Item(path, index))?;
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
        path: &Path<'_>,
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
            let place = Path::Member(path, name);
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
