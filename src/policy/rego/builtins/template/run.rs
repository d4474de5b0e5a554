//! Templates run: nodes one behind the other, over a value at the dot.

use regorus::Value;

use super::super::Failure;
use super::functions::{self, Item};
use super::parser::{Branch, Command, Node, Operand, Pipeline, Set};
use super::{MAX_CALLS, MAX_STEPS, MAX_TEXT, limit};

/// How many elements are made ready to be gone over in the time of a step.
const ELEMENTS_PER_STEP: usize = 8;

struct Run<'a> {
    set: &'a Set,
    out: String,
    steps: usize,
    calls: usize,
    /// Names and values, the innermost last.
    variables: Vec<(&'a str, Item)>,
}

/// How a list of nodes ended.
#[derive(Debug, PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

pub(super) fn run(set: &Set, variables: &Value) -> Result<String, Failure> {
    let root = Item::of(variables);
    let mut run = Run {
        set,
        out: String::new(),
        steps: 0,
        calls: 0,
        variables: vec![("$", root.clone())],
    };
    run.nodes(set.get("").map_or(&[][..], Vec::as_slice), &root)?;
    Ok(run.out)
}

impl<'a> Run<'a> {
    fn step(&mut self) -> Result<(), Failure> {
        self.steps += 1;
        match self.steps > MAX_STEPS || self.out.len() > MAX_TEXT {
            true => Err(limit("a template that takes so long is refused")),
            false => Ok(()),
        }
    }

    fn nodes(&mut self, nodes: &'a [Node], dot: &Item) -> Result<Flow, Failure> {
        let known = self.variables.len();
        for node in nodes {
            self.step()?;
            let flow = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    Flow::On
                }
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    // Rule: what is kept is not printed.
                    if pipeline.variables.is_empty() {
                        self.out.push_str(&value.printed());
                    }
                    Flow::On
                }
                Node::If(branch) => {
                    let outer = self.variables.len();
                    let holds = self.pipeline(&branch.pipeline, dot)?.is_true();
                    let body = if holds {
                        &branch.body
                    } else {
                        &branch.otherwise
                    };
                    let flow = self.nodes(body, dot)?;
                    self.variables.truncate(outer);
                    flow
                }
                Node::With(branch) => {
                    let outer = self.variables.len();
                    let value = self.pipeline(&branch.pipeline, dot)?;
                    let flow = match value.is_true() {
                        true => self.nodes(&branch.body, &value)?,
                        false => self.nodes(&branch.otherwise, dot)?,
                    };
                    self.variables.truncate(outer);
                    flow
                }
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Template(name, argument) => {
                    self.template(name, argument.as_ref(), dot)?;
                    Flow::On
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                self.variables.truncate(known);
                return Ok(flow);
            }
        }
        self.variables.truncate(known);
        Ok(Flow::On)
    }

    /// Rule: another template sees its argument alone.
    fn template(
        &mut self,
        name: &str,
        argument: Option<&'a Pipeline>,
        dot: &Item,
    ) -> Result<(), Failure> {
        let nodes = self.set.get(name).filter(|_| !name.is_empty());
        let nodes = nodes.ok_or(Failure::Failed("template not defined"))?;
        if self.calls == MAX_CALLS {
            return Err(limit("templates that call each other so deep are refused"));
        }
        let argument = match argument {
            Some(pipeline) => self.pipeline(pipeline, dot)?,
            None => Item::Missing,
        };
        self.calls += 1;
        let outer = std::mem::replace(&mut self.variables, vec![("$", argument.clone())]);
        self.nodes(nodes, &argument)?;
        self.variables = outer;
        self.calls -= 1;
        Ok(())
    }

    /// Rule: over elements with their index, members in the order of their names, or numbers from 0 on;
    /// nothing to go over is the other branch.
    fn range(&mut self, branch: &'a Branch, dot: &Item) -> Result<Flow, Failure> {
        let outer = self.variables.len();
        let value = self.commands(&branch.pipeline, dot)?;
        let is_number = matches!(value, Item::Integer(_));
        if is_number && branch.pipeline.variables.len() > 1 {
            return Err(Failure::Failed("can't iterate over more than one variable"));
        }
        let mut is_empty = true;
        let elements = value.elements()?;
        self.steps += elements.len() / ELEMENTS_PER_STEP;
        for (key, element) in elements {
            self.step()?;
            is_empty = false;
            match branch.pipeline.variables.as_slice() {
                [] => {}
                [one] => self.set_variable(one, element.clone(), branch.pipeline.assigns),
                [first, second, ..] => {
                    self.set_variable(first, key, branch.pipeline.assigns);
                    self.set_variable(second, element.clone(), branch.pipeline.assigns);
                }
            }
            let flow = self.nodes(&branch.body, &element)?;
            self.variables.truncate(outer);
            if flow == Flow::Break {
                break;
            }
        }
        if is_empty {
            return self.nodes(&branch.otherwise, dot);
        }
        Ok(Flow::On)
    }

    fn set_variable(&mut self, name: &'a str, value: Item, assigns: bool) {
        let known = self.variables.iter_mut().rev();
        match known.filter(|_| assigns).find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.variables.push((name, value)),
        }
    }

    fn pipeline(&mut self, pipeline: &'a Pipeline, dot: &Item) -> Result<Item, Failure> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.set_variable(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    /// Rule: what a command comes to is the last argument of the next.
    fn commands(&mut self, pipeline: &'a Pipeline, dot: &Item) -> Result<Item, Failure> {
        let mut last = None;
        for command in &pipeline.commands {
            self.step()?;
            last = Some(self.command(command, dot, last)?.known());
        }
        Ok(last.unwrap_or(Item::Missing))
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Item,
        last: Option<Item>,
    ) -> Result<Item, Failure> {
        let Some((first, arguments)) = command.split_first() else {
            return Err(Failure::Failed("missing value for command"));
        };
        if let Operand::Function(name) = first {
            return self.function(name, arguments, dot, last);
        }
        if !arguments.is_empty() || last.is_some() {
            return Err(Failure::Failed("can't give argument to non-function"));
        }
        match first {
            Operand::Nil => Err(Failure::Failed("nil is not a command")),
            operand => self.operand(operand, dot),
        }
    }

    /// Rule: `and` and `or` look at no more arguments than they need.
    fn function(
        &mut self,
        name: &str,
        arguments: &'a [Operand],
        dot: &Item,
        last: Option<Item>,
    ) -> Result<Item, Failure> {
        if matches!(name, "and" | "or") {
            let mut value = None;
            for argument in arguments {
                let item = self.operand(argument, dot)?.known();
                if item.is_true() == (name == "or") {
                    return Ok(item);
                }
                value = Some(item);
            }
            let value = last.or(value);
            return value.ok_or(Failure::Failed("wrong number of args"));
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(argument, dot)?.known());
        }
        values.extend(last);
        let value = functions::call(name, &values)?;
        // Texts take time by their length.
        self.steps += values
            .iter()
            .chain([&value])
            .map(Item::weight)
            .sum::<usize>();
        Ok(value)
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Item) -> Result<Item, Failure> {
        self.step()?;
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Ok(Item::Missing),
            Operand::Bool(value) => Ok(Item::Bool(*value)),
            Operand::Integer(number) => Ok(Item::Integer(*number)),
            Operand::Float(number) => Ok(Item::Float(*number)),
            Operand::Text(text) => Ok(Item::Text(text.as_str().into())),
            Operand::Function(name) => functions::call(name, &[]),
            Operand::Fields(fields) => dot.fields(fields),
            Operand::Variable(name, fields) => {
                let known = self.variables.iter().rev();
                let found = known.map(|(known, item)| (*known, item));
                let mut found = found.filter(|(known, _)| known == name);
                let (_, item) = found.next().ok_or(Failure::Failed("undefined variable"))?;
                item.fields(fields)
            }
            Operand::Pipeline(pipeline, fields) => self.commands(pipeline, dot)?.fields(fields),
        }
    }
}
