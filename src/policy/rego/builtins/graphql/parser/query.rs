//! The grammar of what clients ask for.

use super::super::Failure;
use super::super::ast::{
    Comment, Field, Fragment, Inline, Operation, OperationKind, QueryDocument, Selection, Spread,
    Variable,
};
use super::super::lexer::Kind;
use super::{Constant, Parser, unexpected};

// === impl Parser ===

impl Parser<'_> {
    pub(super) fn query_document(mut self) -> Result<QueryDocument, Failure> {
        let mut document = QueryDocument::default();
        while !self.sees(Kind::End) {
            match (self.next.kind, self.next.value.as_ref()) {
                (Kind::Name, "fragment") => document.fragments.push(self.fragment()?),
                (Kind::Name, "query" | "mutation" | "subscription") => {
                    document.operations.push(self.operation()?);
                }
                // Rule: selections alone are a query. It loses its comments.
                (Kind::BraceL, _) => document.operations.push(Operation {
                    kind: OperationKind::Query,
                    selections: self.selections()?,
                    ..Operation::default()
                }),
                _ => return unexpected(),
            }
        }
        Ok(document)
    }

    fn operation(&mut self) -> Result<Operation, Failure> {
        let comment = self.comment();
        let kind = self.operation_kind()?;
        let name = if self.sees(Kind::Name) {
            self.name()?
        } else {
            String::new()
        };
        Ok(Operation {
            kind,
            name,
            variables: self.variables()?,
            directives: self.directives(Constant::No)?,
            selections: self.selections()?,
            comment,
        })
    }

    pub(super) fn operation_kind(&mut self) -> Result<OperationKind, Failure> {
        let word = self.advance()?.value;
        OperationKind::named(&word).map_or_else(unexpected, Ok)
    }

    fn variables(&mut self) -> Result<Vec<Variable>, Failure> {
        let variable = |parser: &mut Self| {
            let comment = parser.comment();
            let name = parser.variable_name()?;
            parser.take(Kind::Colon)?;
            Ok(Variable {
                name,
                kind: parser.type_reference()?,
                default: parser.default_value()?,
                directives: parser.directives(Constant::No)?,
                used: false,
                comment,
            })
        };
        Ok(self.some((Kind::ParenL, Kind::ParenR), variable)?.0)
    }

    fn selections(&mut self) -> Result<Vec<Selection>, Failure> {
        if !self.sees(Kind::BraceL) {
            return unexpected();
        }
        Ok(self.some((Kind::BraceL, Kind::BraceR), Self::selection)?.0)
    }

    fn selection(&mut self) -> Result<Selection, Failure> {
        if self.sees(Kind::Spread) {
            let comment = self.advance()?.comment;
            return self.spread(comment);
        }
        self.field().map(Selection::Field)
    }

    fn field(&mut self) -> Result<Field, Failure> {
        let comment = self.comment();
        let alias = self.name()?;
        let name = if self.skip(Kind::Colon)? {
            self.name()?
        } else {
            alias.clone()
        };
        let arguments = self.arguments(Constant::No)?;
        let directives = self.directives(Constant::No)?;
        let selections = if self.sees(Kind::BraceL) {
            self.selections()?
        } else {
            Vec::new()
        };
        Ok(Field {
            alias,
            name,
            arguments,
            directives,
            selections,
            comment,
        })
    }

    /// Rule: `on` is never the name of a fragment.
    fn spread(&mut self, comment: Comment) -> Result<Selection, Failure> {
        if self.sees(Kind::Name) && !self.sees_word("on") {
            return Ok(Selection::Spread(Spread {
                name: self.name()?,
                directives: self.directives(Constant::No)?,
                comment,
            }));
        }
        let condition = if self.sees_word("on") {
            self.advance()?;
            self.name()?
        } else {
            String::new()
        };
        Ok(Selection::Inline(Inline {
            condition,
            directives: self.directives(Constant::No)?,
            selections: self.selections()?,
            comment,
        }))
    }

    fn fragment(&mut self) -> Result<Fragment, Failure> {
        let comment = self.keyword("fragment")?;
        if self.sees_word("on") {
            return unexpected();
        }
        let name = self.name()?;
        let variables = self.variables()?;
        self.keyword("on")?;
        Ok(Fragment {
            name,
            variables,
            condition: self.name()?,
            directives: self.directives(Constant::No)?,
            selections: self.selections()?,
            comment,
        })
    }
}
