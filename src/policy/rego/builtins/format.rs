//! `sprintf`: the verbs, flags and complaints of Go's `fmt`, which are what OPA's users know.

use regorus::Value;

use super::notation::as_rego;
use super::{Answer, Builtin, Failure, any, check_size, text};
use crate::policy::rego::json;

/// Largest width or precision.
const MAX_WIDTH: usize = 1_000;
/// Longest text made, in bytes.
const MAX_TEXT: usize = 16 << 20;

pub(super) const BUILTINS: &[Builtin] = &[Builtin::pure("sprintf", 2, sprintf)];

/// An argument as Go has it.
pub(super) enum Argument {
    /// Digits of an integer, and whether it fits 64 bits.
    Integer {
        negative: bool,
        digits: String,
        is_big: bool,
    },
    Float(f64),
    /// A string, or any other value as Rego writes it, by the name of its type.
    Text {
        text: String,
        type_name: &'static str,
    },
    /// What is printed as a text by some verbs alone.
    Other {
        text: String,
        type_name: &'static str,
        verbs: &'static str,
    },
}

/// What stands between `%` and its verb.
#[derive(Default)]
struct Directive {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The format that is left, and the arguments.
struct Printer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    arguments: Vec<Argument>,
    /// The argument that comes next.
    next: usize,
    /// Whether arguments were named by their number.
    is_reordered: bool,
    /// Whether such a number was good.
    is_good_number: bool,
    out: String,
}

fn sprintf(arguments: &[Value]) -> Answer {
    let format = text(arguments, 0)?;
    let Value::Array(values) = any(arguments, 1)? else {
        return Err(Failure::Failed("sprintf: operand 2 must be array"));
    };
    check_size(any(arguments, 1)?)?;
    printed(format, values.iter().map(Argument::of).collect()).map(Value::from)
}

/// A format with its arguments put in.
pub(super) fn printed(format: &str, arguments: Vec<Argument>) -> Result<String, Failure> {
    let printer = Printer {
        rest: format.chars().peekable(),
        arguments,
        next: 0,
        is_reordered: false,
        is_good_number: true,
        out: String::new(),
    };
    printer.run()
}

/// A number of Go's `float64` by `%v`.
pub(super) fn plain_float(number: f64) -> String {
    Argument::Float(number).plain()
}

// === impl Argument ===

impl Argument {
    pub(super) fn text(text: String, type_name: &'static str) -> Self {
        Self::Text { text, type_name }
    }

    pub(super) fn integer(number: i64) -> Self {
        Self::Integer {
            negative: number < 0,
            digits: number.unsigned_abs().to_string(),
            is_big: false,
        }
    }

    fn of(value: &Value) -> Self {
        let string = |text| Self::text(text, "string");
        match value {
            Value::String(text) => string(text.to_string()),
            Value::Number(number) => match number.as_big() {
                Some(integer) => {
                    let text = integer.to_string();
                    let (negative, digits) = match text.strip_prefix('-') {
                        Some(digits) => (true, digits),
                        None => (false, text.as_str()),
                    };
                    Self::Integer {
                        negative,
                        digits: digits.to_owned(),
                        is_big: text.parse::<i64>().is_err(),
                    }
                }
                None => {
                    let text = json::scalar_text(value);
                    text.parse().map_or_else(|_| string(text), Self::Float)
                }
            },
            value => string(as_rego(value)),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Integer { is_big: true, .. } => "*big.Int",
            Self::Integer { .. } => "int",
            Self::Float(_) => "float64",
            Self::Text { type_name, .. } | Self::Other { type_name, .. } => type_name,
        }
    }

    /// By `%v`, without flags.
    fn plain(&self) -> String {
        let directive = Directive::default();
        self.by(&directive, 'v').unwrap_or_default()
    }

    /// `None` for a verb that is not for this type.
    fn by(&self, directive: &Directive, verb: char) -> Option<String> {
        match self {
            Self::Integer {
                negative,
                digits,
                is_big,
            } => integer(directive, verb, *negative, digits, *is_big),
            Self::Float(number) => float(directive, verb, *number),
            Self::Text { text, type_name } => match verb {
                'T' => Some(pad(directive, type_name)),
                verb => string(directive, verb, text),
            },
            Self::Other { text, verbs, .. } => verbs.contains(verb).then(|| pad(directive, text)),
        }
    }
}

// === impl Printer ===

impl Printer<'_> {
    fn run(mut self) -> Result<String, Failure> {
        while let Some(character) = self.rest.next() {
            match character {
                '%' => self.directive()?,
                character => self.out.push(character),
            }
            if self.out.len() > MAX_TEXT {
                return Err(Failure::Limit(format!(
                    "a text of more than {MAX_TEXT} bytes is refused"
                )));
            }
        }
        // Rule: arguments that nothing asked for are told, unless some were asked for by number.
        if !self.is_reordered && self.next < self.arguments.len() {
            let extra = self.arguments.iter().skip(self.next);
            let extra: Vec<_> = extra
                .map(|argument| format!("{}={}", argument.type_name(), argument.plain()))
                .collect();
            self.out
                .push_str(&format!("%!(EXTRA {})", extra.join(", ")));
        }
        Ok(self.out)
    }

    fn directive(&mut self) -> Result<(), Failure> {
        let mut directive = self.flags();
        self.is_good_number = true;
        let mut has_number = self.number_of_argument();
        match self.size()? {
            Size::Of(width) => directive.width = Some(width),
            // Rule: a negative width means the same to the left.
            Size::Negative(width) => {
                directive.width = Some(width);
                directive.minus = true;
                directive.zero = false;
            }
            Size::Bad => self.out.push_str("%!(BADWIDTH)"),
            Size::None => {}
        }
        if directive.width.is_some() && has_number && self.rest.peek() != Some(&'.') {
            // `%[3]*d`: the number was the width's.
            has_number = false;
        }
        if self.rest.next_if_eq(&'.').is_some() {
            has_number |= self.number_of_argument();
            directive.precision = match self.size()? {
                Size::Of(precision) => Some(precision),
                Size::None => Some(0),
                Size::Bad | Size::Negative(_) => {
                    self.out.push_str("%!(BADPREC)");
                    None
                }
            };
        }
        if !has_number {
            self.number_of_argument();
        }
        let Some(verb) = self.rest.next() else {
            self.out.push_str("%!(NOVERB)");
            return Ok(());
        };
        self.verb(&directive, verb);
        Ok(())
    }

    fn flags(&mut self) -> Directive {
        let mut directive = Directive::default();
        while let Some(flag) = self.rest.next_if(|next| "+-# 0".contains(*next)) {
            match flag {
                '+' => directive.plus = true,
                '-' => directive.minus = true,
                '#' => directive.sharp = true,
                ' ' => directive.space = true,
                _ => directive.zero = true,
            }
        }
        // Rule: zeros are never put on the right.
        directive.zero &= !directive.minus;
        directive
    }

    /// `[2]`: which argument is next.
    fn number_of_argument(&mut self) -> bool {
        if self.rest.next_if_eq(&'[').is_none() {
            return false;
        }
        self.is_reordered = true;
        let mut number = String::new();
        while let Some(digit) = self.rest.next_if(|next| *next != ']') {
            number.push(digit);
        }
        let is_closed = self.rest.next().is_some();
        match number.parse::<usize>() {
            Ok(number) if is_closed && (1..=self.arguments.len()).contains(&number) => {
                self.next = number - 1;
            }
            _ => self.is_good_number = false,
        }
        true
    }

    /// A width or precision, out of the format or (`*`) out of the arguments.
    fn size(&mut self) -> Result<Size, Failure> {
        let size = if self.rest.next_if_eq(&'*').is_some() {
            let argument = self.arguments.get(self.next);
            self.next += 1;
            match argument {
                Some(Argument::Integer {
                    negative,
                    digits,
                    is_big: false,
                }) => match digits.parse().unwrap_or(usize::MAX) {
                    width if *negative => Size::Negative(width),
                    width => Size::Of(width),
                },
                _ => Size::Bad,
            }
        } else {
            let mut digits = String::new();
            while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            match digits.as_str() {
                "" => Size::None,
                digits => Size::Of(digits.parse().unwrap_or(usize::MAX)),
            }
        };
        match size {
            Size::Of(width) | Size::Negative(width) if width > MAX_WIDTH => Err(Failure::Limit(
                format!("a width over {MAX_WIDTH} is refused"),
            )),
            size => Ok(size),
        }
    }

    fn verb(&mut self, directive: &Directive, verb: char) {
        if verb == '%' {
            return self.out.push('%');
        }
        if !self.is_good_number {
            return self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        }
        let Some(argument) = self.arguments.get(self.next) else {
            return self.out.push_str(&format!("%!{verb}(MISSING)"));
        };
        self.next += 1;
        match argument.by(directive, verb) {
            Some(text) => self.out.push_str(&text),
            // Rule: a verb that is not for this type is told with type and value.
            None => {
                let (name, value) = (argument.type_name(), argument.plain());
                let equals = if name.is_empty() { "" } else { "=" };
                self.out
                    .push_str(&format!("%!{verb}({name}{equals}{value})"));
            }
        }
    }
}

enum Size {
    None,
    Of(usize),
    Negative(usize),
    Bad,
}

// === Verbs ===

fn integer(
    directive: &Directive,
    verb: char,
    negative: bool,
    digits: &str,
    is_big: bool,
) -> Option<String> {
    let small = || digits.parse::<u64>().ok();
    let mut prefix = "";
    let digits = match verb {
        'd' | 'v' => digits.to_owned(),
        's' if is_big => digits.to_owned(),
        'T' => return Some(pad(directive, if is_big { "*big.Int" } else { "int" })),
        // Those of more than 64 bits are asked for in decimal only.
        'b' => format!("{:b}", small()?),
        'o' => format!("{:o}", small()?),
        'O' => {
            prefix = "0o";
            format!("{:o}", small()?)
        }
        'x' => format!("{:x}", small()?),
        'X' => format!("{:X}", small()?),
        'c' | 'q' | 'U' if !is_big => return character(directive, verb, negative, small()?),
        _ => return None,
    };
    let prefix = match (verb, directive.sharp) {
        ('b', true) => "0b",
        ('o', true) => "0",
        ('x', true) => "0x",
        ('X', true) => "0X",
        _ => prefix,
    };
    let sign = sign(directive, negative);
    // Rule: a precision says how many digits there are at least, and turns padding with zeros off.
    let digits = match directive.precision {
        Some(least) => format!("{digits:0>least$}"),
        None if directive.zero => {
            let least = directive.width.unwrap_or(0).saturating_sub(sign.len());
            format!("{digits:0>least$}")
        }
        None => digits,
    };
    Some(pad(directive, &format!("{sign}{prefix}{digits}")))
}

fn sign(directive: &Directive, negative: bool) -> &'static str {
    match (negative, directive.plus, directive.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

fn character(directive: &Directive, verb: char, negative: bool, code: u64) -> Option<String> {
    let code = if negative { u64::MAX } else { code };
    let character = u32::try_from(code)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER);
    Some(match verb {
        'c' => pad(directive, &character.to_string()),
        'q' => pad(directive, &format!("{character:?}")),
        _ if negative => return None,
        _ => pad(directive, &format!("U+{code:04X}")),
    })
}

fn float(directive: &Directive, verb: char, number: f64) -> Option<String> {
    let size = number.abs();
    let precision = directive.precision;
    let digits = match verb {
        'f' | 'F' => format!("{size:.*}", precision.unwrap_or(6)),
        'e' => exponent(&format!("{size:.*e}", precision.unwrap_or(6))),
        'E' => exponent(&format!("{size:.*e}", precision.unwrap_or(6))).to_uppercase(),
        'v' | 'g' => general(size, precision),
        'G' => general(size, precision).to_uppercase(),
        'T' => return Some(pad(directive, "float64")),
        _ => return None,
    };
    let sign = sign(directive, number.is_sign_negative());
    let least = match directive.zero {
        true => directive.width.unwrap_or(0).saturating_sub(sign.len()),
        false => 0,
    };
    Some(pad(directive, &format!("{sign}{digits:0>least$}")))
}

/// Rule: an exponent has a sign and two digits at least.
fn exponent(text: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

/// Rule: the shortest text that means the number, or so many digits; with an exponent if that is
/// under -4 or not under the precision, which is 6 for the shortest.
fn general(size: f64, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let scientific = match precision {
        Some(precision) => format!("{size:.*e}", precision - 1),
        None => format!("{size:e}"),
    };
    let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let digits = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    };
    let limit = precision.map_or(6, |precision| i32::try_from(precision).unwrap_or(i32::MAX));
    if power < -4 || power >= limit {
        return exponent(&format!("{digits}e{power}"));
    }
    let places = i32::try_from(digits.len().saturating_sub(2)).unwrap_or(0) - power;
    format!("{size:.*}", usize::try_from(places).unwrap_or(0))
}

fn string(directive: &Directive, verb: char, text: &str) -> Option<String> {
    let cut = || match directive.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    };
    let text = match verb {
        's' | 'v' => cut(),
        'q' => serde_json::to_string(&cut()).ok()?,
        'x' => super::hexadecimal(text.as_bytes()),
        'X' => super::hexadecimal(text.as_bytes()).to_uppercase(),
        _ => return None,
    };
    let least = directive.width.filter(|_| directive.zero).unwrap_or(0);
    Some(pad(directive, &format!("{text:0>least$}")))
}

/// Rule: with spaces, on the right for `-`. Zeros are for those who count their digits.
fn pad(directive: &Directive, text: &str) -> String {
    let width = directive.width.unwrap_or(0);
    match directive.minus {
        true => format!("{text:<width$}"),
        false => format!("{text:>width$}"),
    }
}
