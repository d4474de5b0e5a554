//! What a template is made of: its nodes, and the pipelines of commands in them.

use std::collections::{BTreeMap, HashSet};

use super::super::Failure;
use super::functions::is_function;
use super::lexer::{Piece, Token, pieces};
use super::{MAX_DEPTH, limit};

/// Templates by name; the one that is run has none.
pub(super) type Set = BTreeMap<String, Vec<Node>>;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If(Branch),
    Range(Branch),
    With(Branch),
    Template(String, Option<Pipeline>),
    Break,
    Continue,
}

#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Pipeline {
    /// Variables that get the value.
    pub(super) variables: Vec<String>,
    /// Whether they are there already.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand or function, and its arguments.
pub(super) type Command = Vec<Operand>;

#[derive(Debug, Clone)]
pub(super) enum Operand {
    Dot,
    Nil,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Function(String),
    /// Names, one behind the other, of what is at the dot.
    Fields(Vec<String>),
    Variable(String, Vec<String>),
    Pipeline(Box<Pipeline>, Vec<String>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    set: Set,
    /// Variables that are known here.
    variables: Vec<String>,
    depth: usize,
    /// Ranges that are open.
    ranges: usize,
}

/// What a list of nodes ended at.
#[derive(Debug, PartialEq)]
enum Stop {
    Template,
    End,
    /// With what stands behind the word.
    Else(Vec<Token>),
}

fn bad(what: &'static str) -> Failure {
    Failure::Failed(what)
}

pub(super) fn parse(template: &str) -> Result<Set, Failure> {
    let mut parser = Parser {
        pieces: pieces(template)?.into_iter(),
        set: Set::new(),
        variables: vec!["$".to_owned()],
        depth: 0,
        ranges: 0,
    };
    let (main, end) = parser.list()?;
    if end != Stop::Template {
        return Err(bad("unexpected {{end}} or {{else}}"));
    }
    parser.set.insert(String::new(), main);
    Ok(parser.set)
}

impl Parser {
    fn deeper(&mut self) -> Result<(), Failure> {
        self.depth += 1;
        match self.depth > MAX_DEPTH {
            true => Err(limit("a template nested so deep is refused")),
            false => Ok(()),
        }
    }

    fn list(&mut self) -> Result<(Vec<Node>, Stop), Failure> {
        let mut nodes = Vec::new();
        loop {
            let action = match self.pieces.next() {
                None => return Ok((nodes, Stop::Template)),
                Some(Piece::Text(text)) => {
                    if !text.is_empty() {
                        nodes.push(Node::Text(text));
                    }
                    continue;
                }
                Some(Piece::Action(tokens)) => trimmed(tokens),
            };
            let (keyword, rest) = match action.split_first() {
                Some((Token::Word(word), rest)) => (word.as_str(), rest),
                _ => ("", action.as_slice()),
            };
            let rest = || trimmed(rest.to_vec());
            match keyword {
                "end" => match rest().is_empty() {
                    true => return Ok((nodes, Stop::End)),
                    false => return Err(bad("unexpected token in end")),
                },
                "else" => return Ok((nodes, Stop::Else(rest()))),
                "define" => self.define(&rest())?,
                _ => nodes.push(self.node(keyword, &action, &rest())?),
            }
        }
    }

    fn node(&mut self, keyword: &str, action: &[Token], rest: &[Token]) -> Result<Node, Failure> {
        let known = self.variables.len();
        let node = match keyword {
            "if" => Node::If(self.branch("if", rest)?),
            "with" => Node::With(self.branch("with", rest)?),
            "range" => {
                self.ranges += 1;
                let branch = self.branch("range", rest)?;
                self.ranges -= 1;
                Node::Range(branch)
            }
            "break" | "continue" if self.ranges == 0 || !rest.is_empty() => {
                return Err(bad("{{break}} or {{continue}} outside {{range}}"));
            }
            "break" => Node::Break,
            "continue" => Node::Continue,
            "template" => self.template(rest)?,
            "block" => self.block(rest)?,
            // A declaration here holds to the end of the list.
            _ => return Ok(Node::Action(self.whole_pipeline(action)?)),
        };
        self.variables.truncate(known);
        Ok(node)
    }

    fn branch(&mut self, kind: &str, condition: &[Token]) -> Result<Branch, Failure> {
        self.deeper()?;
        let known = self.variables.len();
        let pipeline = match kind {
            "range" => self.range_pipeline(condition)?,
            _ => self.whole_pipeline(condition)?,
        };
        let (body, end) = self.list()?;
        let otherwise = match end {
            Stop::Template => return Err(bad("unexpected EOF")),
            Stop::End => Vec::new(),
            Stop::Else(rest) => self.otherwise(kind, &rest)?,
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Branch {
            pipeline,
            body,
            otherwise,
        })
    }

    /// Rule: `else if` and `else with` are branches within the other, with one end for both.
    fn otherwise(&mut self, kind: &str, rest: &[Token]) -> Result<Vec<Node>, Failure> {
        if rest.is_empty() {
            let (nodes, end) = self.list()?;
            return match end {
                Stop::End => Ok(nodes),
                _ => Err(bad("expected end")),
            };
        }
        match rest.split_first() {
            Some((Token::Word(word), condition)) if word == kind && kind != "range" => {
                let branch = self.branch(kind, &trimmed(condition.to_vec()))?;
                Ok(vec![match kind {
                    "if" => Node::If(branch),
                    _ => Node::With(branch),
                }])
            }
            _ => Err(bad("unexpected token in else")),
        }
    }

    fn define(&mut self, rest: &[Token]) -> Result<(), Failure> {
        let [Token::Text(name)] = rest else {
            return Err(bad("define wants a name"));
        };
        self.definition(name)
    }

    fn definition(&mut self, name: &str) -> Result<(), Failure> {
        self.deeper()?;
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (nodes, end) = self.list()?;
        if end != Stop::End {
            return Err(bad("unexpected EOF in define"));
        }
        self.variables = variables;
        self.ranges = ranges;
        self.depth -= 1;
        // Rule: an empty definition does not replace another.
        let is_empty = nodes
            .iter()
            .all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()));
        let is_there = self.set.contains_key(name);
        match (is_there, is_empty) {
            (true, true) => {}
            (true, false) => return Err(bad("multiple definition of a template")),
            (false, _) => drop(self.set.insert(name.to_owned(), nodes)),
        }
        Ok(())
    }

    fn template(&mut self, rest: &[Token]) -> Result<Node, Failure> {
        let Some((Token::Text(name), argument)) = rest.split_first() else {
            return Err(bad("template wants a name"));
        };
        let argument = trimmed(argument.to_vec());
        let argument = match argument.is_empty() {
            true => None,
            false => Some(self.whole_pipeline(&argument)?),
        };
        Ok(Node::Template(name.clone(), argument))
    }

    /// Rule: a template that is defined and called at once.
    fn block(&mut self, rest: &[Token]) -> Result<Node, Failure> {
        let Some((Token::Text(name), argument)) = rest.split_first() else {
            return Err(bad("block wants a name"));
        };
        let argument = self.whole_pipeline(&trimmed(argument.to_vec()))?;
        self.definition(name)?;
        Ok(Node::Template(name.clone(), Some(argument)))
    }

    // === Pipelines ===

    fn whole_pipeline(&mut self, tokens: &[Token]) -> Result<Pipeline, Failure> {
        let mut rest = tokens;
        let mut pipeline = Pipeline::default();
        if let [Token::Variable(name), behind @ ..] = tokens {
            let behind = behind.strip_prefix(&[Token::Space]).unwrap_or(behind);
            match behind {
                [Token::Declare, behind @ ..] => {
                    pipeline.variables.push(name.clone());
                    rest = behind;
                }
                [Token::Assign, behind @ ..] => {
                    pipeline.variables.push(name.clone());
                    pipeline.assigns = true;
                    rest = behind;
                }
                _ => {}
            }
        }
        self.commands_of(pipeline, rest)
    }

    /// Rule: a range may have two variables.
    fn range_pipeline(&mut self, tokens: &[Token]) -> Result<Pipeline, Failure> {
        let plain: Vec<_> = tokens
            .iter()
            .filter(|token| **token != Token::Space)
            .collect();
        if let [
            Token::Variable(first),
            Token::Mark(','),
            Token::Variable(second),
            kind,
            ..,
        ] = plain.as_slice()
            && matches!(kind, Token::Declare | Token::Assign)
        {
            let behind = tokens.iter().position(|token| token == *kind);
            let rest = tokens
                .get(behind.map_or(0, |at| at + 1)..)
                .unwrap_or_default();
            let pipeline = Pipeline {
                variables: vec![first.clone(), second.clone()],
                assigns: matches!(kind, Token::Assign),
                commands: Vec::new(),
            };
            return self.commands_of(pipeline, rest);
        }
        self.whole_pipeline(tokens)
    }

    fn commands_of(&mut self, mut pipeline: Pipeline, rest: &[Token]) -> Result<Pipeline, Failure> {
        let mut tokens = rest;
        pipeline.commands = self.commands(&mut tokens, false)?;
        if !tokens.is_empty() {
            return Err(bad("unexpected token in a template's action"));
        }
        if pipeline.assigns {
            let known: HashSet<_> = self.variables.iter().collect();
            if !pipeline.variables.iter().all(|name| known.contains(name)) {
                return Err(bad("undefined variable"));
            }
        } else {
            self.variables.extend(pipeline.variables.iter().cloned());
        }
        Ok(pipeline)
    }

    fn commands(&mut self, rest: &mut &[Token], nested: bool) -> Result<Vec<Command>, Failure> {
        self.deeper()?;
        let mut commands: Vec<Command> = vec![Vec::new()];
        loop {
            match rest.first() {
                None if nested => return Err(bad("unclosed left paren")),
                None => break,
                Some(Token::Mark(')')) if nested => {
                    *rest = rest.get(1..).unwrap_or_default();
                    break;
                }
                Some(Token::Space) => *rest = rest.get(1..).unwrap_or_default(),
                Some(Token::Mark('|')) => {
                    commands.push(Vec::new());
                    *rest = rest.get(1..).unwrap_or_default();
                }
                Some(_) => {
                    let operand = self.operand(rest)?;
                    if let Some(command) = commands.last_mut() {
                        command.push(operand);
                    }
                    // Rule: operands are apart.
                    let ends = [None, Some(&Token::Space), Some(&Token::Mark('|'))];
                    let is_end = |next| ends.contains(&next) || next == Some(&Token::Mark(')'));
                    if !is_end(rest.first()) {
                        return Err(bad("unexpected token in operand"));
                    }
                }
            }
        }
        self.depth -= 1;
        let executable = |command: &Command| {
            matches!(
                command.first(),
                Some(
                    Operand::Function(_)
                        | Operand::Fields(_)
                        | Operand::Variable(..)
                        | Operand::Pipeline(..)
                )
            )
        };
        match commands.iter().any(Vec::is_empty) {
            true => Err(bad("missing value for command")),
            false if !commands.iter().skip(1).all(executable) => {
                Err(bad("non executable command in pipeline"))
            }
            false => Ok(commands),
        }
    }

    fn operand(&mut self, rest: &mut &[Token]) -> Result<Operand, Failure> {
        let Some((first, behind)) = rest.split_first() else {
            return Err(bad("missing value for command"));
        };
        *rest = behind;
        Ok(match first {
            Token::Dot => Operand::Dot,
            Token::Text(text) => Operand::Text(text.clone()),
            Token::Integer(number) => Operand::Integer(*number),
            Token::Float(number) => Operand::Float(*number),
            Token::Word(word) => match word.as_str() {
                "true" => Operand::Bool(true),
                "false" => Operand::Bool(false),
                "nil" => Operand::Nil,
                name if is_function(name) => Operand::Function(name.to_owned()),
                _ => return Err(bad("function not defined")),
            },
            Token::Field(name) => {
                let mut fields = vec![name.clone()];
                fields.extend(fields_of(rest));
                Operand::Fields(fields)
            }
            Token::Variable(name) => {
                if !self.variables.contains(name) {
                    return Err(bad("undefined variable"));
                }
                Operand::Variable(name.clone(), fields_of(rest))
            }
            Token::Mark('(') => {
                let commands = self.commands(rest, true)?;
                let pipeline = Pipeline {
                    commands,
                    ..Pipeline::default()
                };
                Operand::Pipeline(Box::new(pipeline), fields_of(rest))
            }
            _ => return Err(bad("unexpected token in a template's action")),
        })
    }
}

/// The names that follow at once.
fn fields_of(rest: &mut &[Token]) -> Vec<String> {
    let mut fields = Vec::new();
    while let Some((Token::Field(name), behind)) = rest.split_first() {
        fields.push(name.clone());
        *rest = behind;
    }
    fields
}

fn trimmed(mut tokens: Vec<Token>) -> Vec<Token> {
    if tokens.last() == Some(&Token::Space) {
        tokens.pop();
    }
    if tokens.first() == Some(&Token::Space) {
        tokens.remove(0);
    }
    tokens
}
