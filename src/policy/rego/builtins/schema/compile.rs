//! Schemas read: every keyword has the type it must have, references lead somewhere.

use std::collections::HashMap;

use serde_json::{Map, Number, Value as Json};
use url::Url;

use super::super::regex::compiled as pattern;
use super::keywords::{
    bound_keywords, choices, fault, invalid_type, number, slice, string, string_keywords, types,
};
use super::model::{Additional, Compiled, Dependency, Id, Items, Schema};
use super::{Fault, MAX_DEPTH, MAX_PATTERN, MAX_SCHEMAS};

/// Which keywords there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Draft {
    Four,
    Six,
    Seven,
    /// None was told: all keywords of all drafts.
    Hybrid,
}

struct Compiler<'a> {
    root: &'a Json,
    compiled: Compiled,
    /// What references lead to, as far as it was read.
    references: HashMap<String, Id>,
    /// Schemas that have a name of their own.
    named: HashMap<String, &'a Json>,
    depth: usize,
    draft: Draft,
}

pub(super) fn compile(root: &Json) -> Result<Compiled, Fault> {
    let draft = draft_of(root)?;
    let mut compiler = Compiler {
        root,
        compiled: Compiled::default(),
        references: HashMap::new(),
        named: HashMap::new(),
        depth: 0,
        draft,
    };
    compiler.name(root, &base(), 0);
    compiler.schema(root, &base())?;
    Ok(compiler.compiled)
}

/// What relative references are relative to: nothing that exists.
fn base() -> Option<Url> {
    Url::parse("schema:///").ok()
}

fn draft_of(root: &Json) -> Result<Draft, Fault> {
    let members = match root {
        Json::Bool(_) => return Ok(Draft::Hybrid),
        Json::Object(members) => members,
        _ => return fault("schema is invalid"),
    };
    let Some(schema) = members.get("$schema") else {
        return Ok(Draft::Hybrid);
    };
    let Json::String(schema) = schema else {
        return fault("$schema must be of type string");
    };
    Ok(match schema.trim_end_matches('#') {
        "http://json-schema.org/draft-04/schema" => Draft::Four,
        "http://json-schema.org/draft-06/schema" => Draft::Six,
        "http://json-schema.org/draft-07/schema" => Draft::Seven,
        _ => Draft::Hybrid,
    })
}

impl<'a> Compiler<'a> {
    /// Notes schemas that have an id.
    fn name(&mut self, node: &'a Json, base: &Option<Url>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match node {
            Json::Array(items) => {
                for item in items {
                    self.name(item, base, depth + 1);
                }
            }
            Json::Object(members) => {
                let base = with_id(members, base);
                if let Some(url) = &base
                    && (members.contains_key("$id") || members.contains_key("id"))
                {
                    self.named.entry(url.to_string()).or_insert(node);
                }
                for (key, value) in members {
                    match (key.as_str(), value) {
                        // Rule: values are taken literally, and names are no keywords.
                        ("const" | "enum", _) => {}
                        (
                            "properties" | "dependencies" | "patternProperties",
                            Json::Object(inner),
                        ) => {
                            for value in inner.values() {
                                self.name(value, &base, depth + 1);
                            }
                        }
                        _ => self.name(value, &base, depth + 1),
                    }
                }
            }
            _ => {}
        }
    }

    fn schema(&mut self, node: &'a Json, base: &Option<Url>) -> Result<Id, Fault> {
        let id = self.reserve()?;
        self.fill(id, node, base)?;
        Ok(id)
    }

    fn reserve(&mut self) -> Result<Id, Fault> {
        let id = self.compiled.schemas.len();
        if id >= MAX_SCHEMAS {
            return Err(Fault::Limit("a schema of this size is refused"));
        }
        self.compiled.schemas.push(Schema::default());
        Ok(id)
    }

    fn fill(&mut self, id: Id, node: &'a Json, base: &Option<Url>) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::Limit("a schema nested so deep is refused"));
        }
        let mut schema = Schema::default();
        match node {
            Json::Bool(always) if self.draft >= Draft::Six => schema.always = Some(*always),
            Json::Object(members) => self.keywords(members, base, &mut schema)?,
            _ => return fault("Expected: schema, given: Invalid JSON"),
        }
        if let Some(place) = self.compiled.schemas.get_mut(id) {
            *place = schema;
        }
        self.depth -= 1;
        Ok(())
    }

    fn keywords(
        &mut self,
        members: &'a Map<String, Json>,
        base: &Option<Url>,
        schema: &mut Schema,
    ) -> Result<(), Fault> {
        let key = match self.draft {
            Draft::Four => "id",
            Draft::Hybrid if members.contains_key("id") => "id",
            _ => "$id",
        };
        string(members, key)?;
        let base = &with_id(members, base);
        if let Some(definitions) = members.get("definitions") {
            let Json::Object(definitions) = definitions else {
                return invalid_type("array of schemas", "definitions");
            };
            for definition in definitions.values() {
                match definition {
                    Json::Bool(_) | Json::Object(_) => drop(self.schema(definition, base)?),
                    _ => return invalid_type("array of schemas", "definitions"),
                }
            }
        }
        string(members, "title")?;
        string(members, "description")?;
        if let Some(reference) = string(members, "$ref")? {
            // Rule: beside a reference nothing counts.
            schema.reference = Some(self.reference(reference, base)?);
            return Ok(());
        }
        schema.types = types(members)?;
        self.object_keywords(members, base, schema)?;
        self.array_keywords(members, base, schema)?;
        self.number_keywords(members, schema)?;
        string_keywords(members, schema)?;
        bound_keywords(members, schema)?;
        if let Some(contains) = members.get("contains").filter(|_| self.draft >= Draft::Six) {
            schema.contains = Some(self.schema(contains, base)?);
        }
        let constant = members.get("const").filter(|_| self.draft >= Draft::Six);
        schema.constant = constant.cloned();
        schema.choices = choices(members)?;
        self.combinations(members, base, schema)
    }

    fn reference(&mut self, reference: &str, base: &Option<Url>) -> Result<Id, Fault> {
        let url = base.as_ref().and_then(|base| base.join(reference).ok());
        let Some(url) = url else {
            return fault(format!("parse \"{reference}\": invalid reference"));
        };
        let key = url.to_string();
        if let Some(id) = self.references.get(&key) {
            return Ok(*id);
        }
        let id = self.reserve()?;
        self.references.insert(key.clone(), id);
        let (node, base) = self.target(&url, reference)?;
        match node {
            Json::Bool(_) | Json::Object(_) => self.fill(id, node, &base)?,
            _ => return fault("schema must be of type object"),
        }
        Ok(id)
    }

    /// What a reference leads to: a schema of that name, or what its fragment points to in the document.
    fn target(&self, url: &Url, reference: &str) -> Result<(&'a Json, Option<Url>), Fault> {
        if let Some(node) = self.named.get(url.as_str()) {
            return Ok((node, Some(url.clone())));
        }
        let mut document = url.clone();
        document.set_fragment(None);
        let root = match self.named.get(document.as_str()) {
            Some(node) => node,
            None if Some(&document) == base().as_ref() => self.root,
            None => {
                return fault(format!("remote reference loading disabled: {reference}"));
            }
        };
        let fragment = url.fragment().unwrap_or_default();
        let pointer = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
        match root.pointer(&pointer) {
            Some(node) => Ok((node, Some(document))),
            None => {
                // The first part of the way that leads nowhere.
                let ends = pointer.match_indices('/').skip(1).map(|(at, _)| at);
                let ways = ends.chain([pointer.len()]);
                let mut ways = ways.filter_map(|end| pointer.get(..end));
                let missing = ways.find(|way| root.pointer(way).is_none());
                let token = missing.and_then(|way| way.rsplit('/').next());
                let token = token.unwrap_or_default();
                fault(format!("Object has no key '{token}'"))
            }
        }
    }

    fn object_keywords(
        &mut self,
        members: &'a Map<String, Json>,
        base: &Option<Url>,
        schema: &mut Schema,
    ) -> Result<(), Fault> {
        match members.get("properties") {
            None => {}
            Some(Json::Object(properties)) => {
                for (name, property) in properties {
                    let id = self.schema(property, base)?;
                    schema.properties.push((name.clone(), id));
                }
            }
            Some(_) => return fault("properties must be of type object"),
        }
        schema.additional_properties = self.additional(members, "additionalProperties", base)?;
        match members.get("patternProperties") {
            None => {}
            Some(Json::Object(patterns)) => {
                for (text, property) in patterns {
                    let Ok(compiled) = pattern(text, MAX_PATTERN) else {
                        return fault(format!("Invalid regex pattern '{text}'"));
                    };
                    let id = self.schema(property, base)?;
                    schema.pattern_properties.push((compiled, id));
                }
            }
            Some(_) => return invalid_type("schema", "patternProperties"),
        }
        let names = members
            .get("propertyNames")
            .filter(|_| self.draft >= Draft::Six);
        match names {
            None => {}
            Some(node @ (Json::Bool(_) | Json::Object(_))) => {
                schema.property_names = Some(self.schema(node, base)?);
            }
            Some(_) => return invalid_type("schema", "patternProperties"),
        }
        self.dependencies(members, base, schema)
    }

    fn dependencies(
        &mut self,
        members: &'a Map<String, Json>,
        base: &Option<Url>,
        schema: &mut Schema,
    ) -> Result<(), Fault> {
        let bad = || fault("dependency must be of type schema or array of strings");
        let dependencies = match members.get("dependencies") {
            None => return Ok(()),
            Some(Json::Object(dependencies)) => dependencies,
            Some(_) => return fault("dependencies must be of type object"),
        };
        for (name, node) in dependencies {
            let dependency = match node {
                Json::Array(names) => {
                    let names = names.iter().map(|name| name.as_str().map(str::to_owned));
                    match names.collect::<Option<Vec<_>>>() {
                        Some(names) => Dependency::Names(names),
                        None => return bad(),
                    }
                }
                Json::Bool(_) | Json::Object(_) => Dependency::Schema(self.schema(node, base)?),
                _ => return bad(),
            };
            schema.dependencies.insert(name.clone(), dependency);
        }
        Ok(())
    }

    fn additional(
        &mut self,
        members: &'a Map<String, Json>,
        key: &str,
        base: &Option<Url>,
    ) -> Result<Option<Additional>, Fault> {
        Ok(match members.get(key) {
            None => None,
            Some(Json::Bool(allowed)) => Some(Additional::Allowed(*allowed)),
            Some(node @ Json::Object(_)) => Some(Additional::Schema(self.schema(node, base)?)),
            Some(_) => return invalid_type("boolean/schema", key),
        })
    }

    fn array_keywords(
        &mut self,
        members: &'a Map<String, Json>,
        base: &Option<Url>,
        schema: &mut Schema,
    ) -> Result<(), Fault> {
        let bad = || invalid_type("schema/array of schemas", "items");
        schema.items = match members.get("items") {
            None => Items::Any,
            Some(Json::Array(nodes)) => {
                let mut each = Vec::with_capacity(nodes.len());
                for node in nodes {
                    match node {
                        Json::Bool(_) | Json::Object(_) => each.push(self.schema(node, base)?),
                        _ => return bad(),
                    }
                }
                Items::Each(each)
            }
            Some(node @ (Json::Bool(_) | Json::Object(_))) => Items::All(self.schema(node, base)?),
            Some(_) => return bad(),
        };
        schema.additional_items = self.additional(members, "additionalItems", base)?;
        Ok(())
    }

    fn number_keywords(
        &self,
        members: &Map<String, Json>,
        schema: &mut Schema,
    ) -> Result<(), Fault> {
        match members.get("multipleOf") {
            None => {}
            Some(Json::Number(number)) if number.as_f64().is_some_and(|number| number > 0.0) => {
                schema.multiple_of = Some(number.clone());
            }
            Some(Json::Number(_)) => {
                return fault("multipleOf must be strictly greater than 0");
            }
            Some(_) => return invalid_type("number", "multipleOf"),
        }
        schema.minimum = number(members, "minimum")?;
        self.exclusive(
            members,
            ("exclusiveMinimum", "minimum"),
            &mut schema.minimum,
            &mut schema.exclusive_minimum,
        )?;
        schema.maximum = number(members, "maximum")?;
        self.exclusive(
            members,
            ("exclusiveMaximum", "maximum"),
            &mut schema.maximum,
            &mut schema.exclusive_maximum,
        )
    }

    /// Rule: draft 4 has a boolean beside the bound, later ones a bound of its own.
    fn exclusive(
        &self,
        members: &Map<String, Json>,
        (key, bound): (&str, &str),
        inclusive: &mut Option<Number>,
        exclusive: &mut Option<Number>,
    ) -> Result<(), Fault> {
        let expected = match self.draft {
            Draft::Four => "boolean",
            Draft::Hybrid => "boolean/number",
            Draft::Six | Draft::Seven => "number",
        };
        match members.get(key) {
            None => {}
            Some(Json::Bool(holds)) if expected.starts_with("boolean") => {
                if inclusive.is_none() {
                    return fault(format!("{key} cannot be used without {bound}"));
                }
                if *holds {
                    *exclusive = inclusive.take();
                }
            }
            Some(Json::Number(number)) if expected.ends_with("number") => {
                *exclusive = Some(number.clone());
            }
            Some(_) => return invalid_type(expected, key),
        }
        Ok(())
    }

    fn combinations(
        &mut self,
        members: &'a Map<String, Json>,
        base: &Option<Url>,
        schema: &mut Schema,
    ) -> Result<(), Fault> {
        schema.one_of = self.all(members, "oneOf", base)?;
        schema.any_of = self.all(members, "anyOf", base)?;
        schema.all_of = self.all(members, "allOf", base)?;
        schema.not = self.one(members, "not", base)?;
        if self.draft >= Draft::Seven {
            schema.condition = self.one(members, "if", base)?;
            schema.then = self.one(members, "then", base)?;
            schema.otherwise = self.one(members, "else", base)?;
        }
        Ok(())
    }

    fn all(
        &mut self,
        members: &'a Map<String, Json>,
        key: &str,
        base: &Option<Url>,
    ) -> Result<Vec<Id>, Fault> {
        let nodes = slice(members, key)?;
        nodes.iter().map(|node| self.schema(node, base)).collect()
    }

    fn one(
        &mut self,
        members: &'a Map<String, Json>,
        key: &str,
        base: &Option<Url>,
    ) -> Result<Option<Id>, Fault> {
        match members.get(key) {
            None => Ok(None),
            Some(node @ (Json::Bool(_) | Json::Object(_))) => self.schema(node, base).map(Some),
            Some(_) => fault(format!("{key} must be of an object")),
        }
    }
}

fn with_id(members: &Map<String, Json>, base: &Option<Url>) -> Option<Url> {
    let id = members.get("id").or_else(|| members.get("$id"));
    match id.and_then(Json::as_str) {
        Some(id) => base.as_ref().and_then(|base| base.join(id).ok()),
        None => base.clone(),
    }
}
