//! `graphql.*`: queries and schemas, read and checked the way OPA has the Go library gqlparser do it.
//! Its grammar, the objects it makes of documents and its rules differ here and there from other
//! libraries', so all of it is done here. Errors tell the rule that is broken, not where.

mod ast;
mod decode;
mod encode;
mod lexer;
mod parser;
mod prelude;
mod schema;
mod validate;

use std::collections::BTreeMap;

use regorus::Value;

use super::{Answer, Builtin, Failure, any, text};
use ast::{QueryDocument, SchemaDocument};
use schema::Schema;

/// Longest text of a document, in bytes.
const MAX_TEXT: usize = 4 << 20;
/// Most tokens and comments of a query, and of a schema.
const MAX_QUERY_TOKENS: usize = 100_000;
const MAX_SCHEMA_TOKENS: usize = 500_000;
/// Deepest nesting of a document.
const MAX_DEPTH: usize = 100;
/// Most values of a document that is given as an object.
const MAX_NODES: usize = 1_000_000;
/// Deepest nesting when fragments are followed.
const MAX_FOLLOWED_DEPTH: usize = 250;
/// Most steps that checking takes: fragments make documents larger than they are written.
const MAX_STEPS: usize = 2_000_000;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("graphql.is_valid", 2, is_valid),
    Builtin::pure("graphql.parse", 2, |a| {
        let [query, schema] = verified(a)?;
        Ok(Value::from(vec![query, schema]))
    }),
    Builtin::pure("graphql.parse_and_verify", 2, parse_and_verify),
    Builtin::pure("graphql.parse_query", 1, |a| {
        Ok(encode::query(&parser::query(text(a, 0)?)?))
    }),
    Builtin::pure("graphql.parse_schema", 1, |a| {
        Ok(encode::schema(&parser::schema(text(a, 0)?)?))
    }),
    Builtin::pure("graphql.schema_is_valid", 1, schema_is_valid),
];

type Check = Result<(), Failure>;

/// What checking may still cost.
struct Work {
    steps_left: usize,
    depth: usize,
}

// === impl Work ===

impl Work {
    fn new() -> Self {
        Self {
            steps_left: MAX_STEPS,
            depth: 0,
        }
    }

    fn spend(&mut self, steps: usize) -> Check {
        let left = self.steps_left.checked_sub(steps);
        self.steps_left = left.ok_or_else(|| {
            Failure::Limit(format!(
                "checking GraphQL in more than {MAX_STEPS} steps is refused"
            ))
        })?;
        Ok(())
    }

    /// Goes one level deeper; `leave` comes back.
    fn enter(&mut self) -> Check {
        if self.depth == MAX_FOLLOWED_DEPTH {
            return Err(Failure::Limit(format!(
                "GraphQL fragments more than {MAX_FOLLOWED_DEPTH} deep are refused"
            )));
        }
        self.depth += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }
}

/// Rule: a document is a text, or the object that parsing makes of one.
fn query_document(value: &Value) -> Result<QueryDocument, Failure> {
    match value {
        Value::String(text) => parser::query(text),
        value => decode::query(value),
    }
}

fn schema_document(value: &Value) -> Result<SchemaDocument, Failure> {
    match value {
        Value::String(text) => parser::schema(text),
        value => decode::schema(value),
    }
}

/// A query and its schema as objects, if the query can be asked of the schema.
fn verified(arguments: &[Value]) -> Result<[Value; 2], Failure> {
    let (query, schema) = checked(arguments)?;
    Ok([encode::query(&query), encode::schema(&schema)])
}

fn checked(arguments: &[Value]) -> Result<(QueryDocument, SchemaDocument), Failure> {
    let query = query_document(any(arguments, 0)?)?;
    let document = schema_document(any(arguments, 1)?)?;
    let mut work = Work::new();
    let schema = Schema::new(&document, &mut work)?;
    validate::check(&schema, &query, &mut work)?;
    Ok((query, document))
}

/// Rule: what cannot be read or fulfilled is false. A limit is none of that.
fn holds<T>(result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Failed(_)) => Ok(None),
        Err(limit @ Failure::Limit(_)) => Err(limit),
    }
}

fn is_valid(arguments: &[Value]) -> Answer {
    Ok(Value::from(holds(checked(arguments))?.is_some()))
}

fn parse_and_verify(arguments: &[Value]) -> Answer {
    let empty = || Value::from(BTreeMap::<Value, Value>::new());
    let verified = holds(verified(arguments))?;
    let is_valid = Value::from(verified.is_some());
    let [query, schema] = verified.unwrap_or_else(|| [empty(), empty()]);
    Ok(Value::from(vec![is_valid, query, schema]))
}

fn schema_is_valid(arguments: &[Value]) -> Answer {
    let document = schema_document(any(arguments, 0)?);
    let is_valid = document.and_then(|document| {
        Schema::new(&document, &mut Work::new())?;
        Ok(())
    });
    Ok(Value::from(holds(is_valid)?.is_some()))
}
