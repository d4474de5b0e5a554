//! The output form of calls, `f(x, y)` for `y = f(x)`, for built-ins that the interpreter does not know
//! and so cannot count the arguments of. Calls that stand as a statement are rewritten before
//! parsing; rows stay what they are, columns move by one inside of the call's last argument.

use std::borrow::Cow;

use super::builtins::arity_of_added;

/// What becomes of a stretch of the text.
type Edit = (std::ops::Range<usize>, &'static str);

/// A module with every such call rewritten.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    let mut edits = edits(text);
    if edits.is_empty() {
        return Cow::Borrowed(text);
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut lowered = String::with_capacity(text.len());
    let mut from = 0;
    for (range, replacement) in edits {
        lowered.push_str(text.get(from..range.start).unwrap_or_default());
        lowered.push_str(replacement);
        from = range.end;
    }
    lowered.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(lowered)
}

/// A bracket that is open.
struct Open {
    /// Arguments the call takes without its output; `None` for any other bracket.
    arity: Option<usize>,
    commas: Vec<usize>,
    /// Whether anything stands behind the last comma.
    has_more: bool,
}

fn edits(text: &str) -> Vec<Edit> {
    let bytes = text.as_bytes();
    let mut edits = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    // What a statement can begin behind: a line's begin, `{`, `;`, `if`, `not`, `:=` and the like no.
    let mut begins = true;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at = token_end(bytes, at);
        let token = text.get(start..at).unwrap_or_default();
        match byte {
            b'#' => continue,
            b'\n' => {
                begins = true;
                continue;
            }
            _ if byte.is_ascii_whitespace() => continue,
            b'(' | b'[' | b'{' => {
                open.iter_mut()
                    .last()
                    .iter_mut()
                    .for_each(|outer| outer.has_more = true);
                open.push(Open::other());
            }
            b')' | b']' | b'}' => {
                if let Some(call) = open.pop() {
                    edits.extend(call.edits(start).into_iter().flatten());
                }
            }
            b',' => {
                if let Some(call) = open.last_mut() {
                    call.commas.push(start);
                    call.has_more = false;
                }
            }
            _ => {
                if let Some(outer) = open.last_mut() {
                    outer.has_more = true;
                }
                let arity = arity_of_added(token).filter(|_| begins);
                if arity.is_some() && bytes.get(at) == Some(&b'(') {
                    at += 1;
                    open.push(Open {
                        arity,
                        ..Open::other()
                    });
                }
            }
        }
        begins = matches!(token, "{" | ";" | "if" | "not");
    }
    edits
}

/// Where the token ends that begins here: a name with its dots, a string, a comment, or one byte.
fn token_end(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let until = |end: fn(&u8) -> bool| rest.iter().position(end).unwrap_or(rest.len());
    let length = match rest.first() {
        Some(b'#') => until(|byte| *byte == b'\n'),
        Some(b'`') => rest
            .iter()
            .skip(1)
            .position(|byte| *byte == b'`')
            .map_or(rest.len(), |end| end + 2),
        Some(b'"') => string_length(rest),
        Some(byte) if is_name(byte) => rest
            .iter()
            .position(|byte| !is_name(byte))
            .unwrap_or(rest.len()),
        _ => 1,
    };
    start + length
}

fn string_length(rest: &[u8]) -> usize {
    let mut escaped = true;
    let end = rest.iter().position(|byte| {
        let ends = !escaped && *byte == b'"';
        escaped = !escaped && *byte == b'\\';
        ends
    });
    end.map_or(rest.len(), |end| end + 1)
}

// === impl Open ===

impl Open {
    fn other() -> Self {
        Self {
            arity: None,
            commas: Vec::new(),
            has_more: false,
        }
    }

    /// Rule: `f(x, y)` becomes `f(x)= y`, of the same length; a comma at the end goes.
    fn edits(mut self, close: usize) -> Option<[Edit; 3]> {
        let arity = self.arity?;
        let trailing = match self.has_more {
            true => close..close,
            false => self.commas.pop().map(|comma| comma..comma + 1)?,
        };
        if self.commas.len() != arity {
            return None;
        }
        let comma = self.commas.pop()?;
        Some([
            (comma..comma + 1, ")="),
            (trailing, ""),
            (close..close + 1, ""),
        ])
    }
}
