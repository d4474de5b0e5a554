//! What GraphQL's two grammars have in common: taking tokens, lists between brackets, values, types
//! and directives. What is asked is read in `query`, what is offered in `sdl`.

mod query;
mod sdl;

use super::ast::{
    Argument, Comment, Directive, Literal, LiteralKind, Member, QueryDocument, SchemaDocument, Type,
};
use super::lexer::{Kind, Lexer, Token};
use super::{Failure, MAX_DEPTH, MAX_QUERY_TOKENS, MAX_SCHEMA_TOKENS, MAX_TEXT};

pub(super) fn query(text: &str) -> Result<QueryDocument, Failure> {
    Parser::new(text, MAX_QUERY_TOKENS)?.query_document()
}

pub(super) fn schema(text: &str) -> Result<SchemaDocument, Failure> {
    Parser::new(text, MAX_SCHEMA_TOKENS)?.schema_document()
}

/// Whether variables may be in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Constant {
    Yes,
    No,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that is looked at.
    next: Token<'a>,
    depth: usize,
}

fn unexpected<T>() -> Result<T, Failure> {
    Err(Failure::Failed("unexpected token"))
}

// === impl Parser ===

impl<'a> Parser<'a> {
    fn new(text: &'a str, max_tokens: usize) -> Result<Self, Failure> {
        if text.len() > MAX_TEXT {
            return Err(Failure::Limit(format!(
                "GraphQL text of more than {MAX_TEXT} bytes is refused"
            )));
        }
        let mut lexer = Lexer::new(text, max_tokens);
        Ok(Self {
            next: lexer.next()?,
            lexer,
            depth: 0,
        })
    }

    fn advance(&mut self) -> Result<Token<'a>, Failure> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn sees(&self, kind: Kind) -> bool {
        self.next.kind == kind
    }

    /// Rule: a word counts here as a string as well.
    fn sees_word(&self, word: &str) -> bool {
        self.next.value == word
    }

    fn take(&mut self, kind: Kind) -> Result<Token<'a>, Failure> {
        if self.sees(kind) {
            return self.advance();
        }
        unexpected()
    }

    fn skip(&mut self, kind: Kind) -> Result<bool, Failure> {
        let sees = self.sees(kind);
        if sees {
            self.advance()?;
        }
        Ok(sees)
    }

    /// Takes a keyword, and comes to the comments in front of it.
    fn keyword(&mut self, word: &str) -> Result<Comment, Failure> {
        if self.sees(Kind::Name) && self.sees_word(word) {
            return Ok(self.advance()?.comment);
        }
        unexpected()
    }

    fn name(&mut self) -> Result<String, Failure> {
        Ok(self.take(Kind::Name)?.value.into_owned())
    }

    /// The comments in front of the token that is looked at.
    fn comment(&mut self) -> Comment {
        std::mem::take(&mut self.next.comment)
    }

    fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.depth == MAX_DEPTH {
            return Err(Failure::Limit(format!(
                "GraphQL nested more than {MAX_DEPTH} deep is refused"
            )));
        }
        self.depth += 1;
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    /// Items up to a bracket, with the comments in front of that.
    fn until<T>(
        &mut self,
        close: Kind,
        parse: impl Fn(&mut Self) -> Result<T, Failure>,
    ) -> Result<(Vec<T>, Comment), Failure> {
        self.nested(|parser| {
            let mut items = Vec::new();
            while !parser.sees(close) {
                items.push(parse(parser)?);
            }
            Ok((items, parser.advance()?.comment))
        })
    }

    /// Rule: brackets may be left out, but not be empty.
    fn some<T>(
        &mut self,
        (open, close): (Kind, Kind),
        parse: impl Fn(&mut Self) -> Result<T, Failure>,
    ) -> Result<(Vec<T>, Comment), Failure> {
        if !self.skip(open)? {
            return Ok((Vec::new(), Comment::new()));
        }
        let (items, comment) = self.until(close, parse)?;
        if items.is_empty() {
            return Err(Failure::Failed("expected at least one definition"));
        }
        Ok((items, comment))
    }

    fn literal(&mut self, constant: Constant) -> Result<Literal, Failure> {
        let kind = match self.next.kind {
            Kind::BracketL => return self.list(constant),
            Kind::BraceL => return self.object(constant),
            Kind::Dollar if constant == Constant::No => {
                return Ok(Literal {
                    raw: self.variable_name()?,
                    ..Literal::default()
                });
            }
            Kind::Int => LiteralKind::Int,
            Kind::Float => LiteralKind::Float,
            Kind::String => LiteralKind::String,
            Kind::Block => LiteralKind::Block,
            Kind::Name => match self.next.value.as_ref() {
                "true" | "false" => LiteralKind::Boolean,
                "null" => LiteralKind::Null,
                _ => LiteralKind::Enum,
            },
            _ => return unexpected(),
        };
        Ok(Literal {
            kind,
            raw: self.advance()?.value.into_owned(),
            ..Literal::default()
        })
    }

    fn list(&mut self, constant: Constant) -> Result<Literal, Failure> {
        let comment = self.take(Kind::BracketL)?.comment;
        let element = |parser: &mut Self| {
            Ok(Member {
                value: parser.literal(constant)?,
                ..Member::default()
            })
        };
        Ok(Literal {
            kind: LiteralKind::List,
            children: self.until(Kind::BracketR, element)?.0,
            comment,
            ..Literal::default()
        })
    }

    fn object(&mut self, constant: Constant) -> Result<Literal, Failure> {
        let comment = self.take(Kind::BraceL)?.comment;
        let member = |parser: &mut Self| {
            let (name, value, comment) = parser.named_literal(constant)?;
            Ok(Member {
                name,
                value,
                comment,
            })
        };
        Ok(Literal {
            kind: LiteralKind::Object,
            children: self.until(Kind::BraceR, member)?.0,
            comment,
            ..Literal::default()
        })
    }

    fn named_literal(&mut self, constant: Constant) -> Result<(String, Literal, Comment), Failure> {
        let comment = self.comment();
        let name = self.name()?;
        self.take(Kind::Colon)?;
        Ok((name, self.literal(constant)?, comment))
    }

    fn variable_name(&mut self) -> Result<String, Failure> {
        self.take(Kind::Dollar)?;
        self.name()
    }

    fn arguments(&mut self, constant: Constant) -> Result<Vec<Argument>, Failure> {
        let argument = |parser: &mut Self| {
            let (name, value, comment) = parser.named_literal(constant)?;
            Ok(Argument {
                name,
                value,
                comment,
            })
        };
        Ok(self.some((Kind::ParenL, Kind::ParenR), argument)?.0)
    }

    fn directives(&mut self, constant: Constant) -> Result<Vec<Directive>, Failure> {
        let mut directives = Vec::new();
        while self.skip(Kind::At)? {
            directives.push(Directive {
                name: self.name()?,
                arguments: self.arguments(constant)?,
                ..Directive::default()
            });
        }
        Ok(directives)
    }

    fn type_reference(&mut self) -> Result<Type, Failure> {
        let mut kind = Type::default();
        if self.skip(Kind::BracketL)? {
            kind.element = Some(Box::new(self.nested(Self::type_reference)?));
            self.take(Kind::BracketR)?;
        } else {
            kind.named = self.name()?;
        }
        kind.non_null = self.skip(Kind::Bang)?;
        Ok(kind)
    }

    /// A value after `=`, if there is one.
    fn default_value(&mut self) -> Result<Option<Literal>, Failure> {
        if !self.skip(Kind::Equals)? {
            return Ok(None);
        }
        self.literal(Constant::Yes).map(Some)
    }
}
