//! `regex.*` by the interpreter, with patterns brought from Go's syntax (RE2) to that of the `regex`
//! crate: what means something else there, or nothing, is rewritten. Matching takes linear time.

use regorus::Value;

use super::{Answer, Builtin, Failure, of_interpreter, text};

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 64 * 1024;
/// Most memory of a compiled pattern; the interpreter has the same limit.
const MAX_COMPILED: usize = 100 * 1024;
/// Longest text that a replacement makes, in bytes.
const MAX_TEXT: usize = 16 << 20;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::pure("regex.find_all_string_submatch_n", 3, |arguments| {
        interpreted("regex.find_all_string_submatch_n", arguments, 0)
    }),
    Builtin::pure("regex.find_n", 3, |arguments| {
        interpreted("regex.find_n", arguments, 0)
    }),
    Builtin::pure("regex.is_valid", 1, is_valid),
    Builtin::pure("regex.match", 2, |arguments| {
        interpreted("regex.match", arguments, 0)
    }),
    // The older name.
    Builtin::pure("re_match", 2, |arguments| {
        interpreted("regex.match", arguments, 0)
    }),
    Builtin::pure("regex.replace", 3, replace),
    Builtin::pure("regex.split", 2, |arguments| {
        interpreted("regex.split", arguments, 0)
    }),
    Builtin::pure("regex.template_match", 4, template_match),
];

/// Rule: whether a string is a pattern; anything else is none.
fn is_valid(arguments: &[Value]) -> Answer {
    match text(arguments, 0) {
        Ok(_) => interpreted("regex.is_valid", arguments, 0),
        Err(_) => Ok(Value::from(false)),
    }
}

fn replace(arguments: &[Value]) -> Answer {
    let (length, new) = (text(arguments, 0)?.len(), text(arguments, 2)?.len());
    // An empty match is found everywhere.
    let most = (length + 1).saturating_mul(new).saturating_add(length);
    if most > MAX_TEXT {
        return Err(Failure::Limit(format!(
            "a replacement that may make more than {MAX_TEXT} bytes is refused"
        )));
    }
    interpreted("regex.replace", arguments, 1)
}

/// Rule: what stands between delimiters is a pattern, everything else is itself, and the whole of the
/// text must match. Delimiters are one character each and may nest.
fn template_match(arguments: &[Value]) -> Answer {
    let (template, value) = (text(arguments, 0)?, text(arguments, 1)?);
    let (start, end) = (
        delimiter(text(arguments, 2)?)?,
        delimiter(text(arguments, 3)?)?,
    );
    if template.len() > MAX_PATTERN {
        return Err(too_big());
    }
    let unbalanced = Failure::Failed("unbalanced delimiters");
    let mut pattern = "^".to_owned();
    let mut rest = template;
    while let Some(begin) = rest.find([start, end]) {
        let (raw, inner) = rest.split_at(begin);
        let length = enclosed(inner, start, end).ok_or_else(|| unbalanced.clone())?;
        let (inner, behind) = inner.split_at(length);
        let inner = inner
            .strip_prefix(start)
            .and_then(|inner| inner.strip_suffix(end));
        pattern.push_str(&regex::escape(raw));
        pattern.push_str("(?:");
        pattern.push_str(&rewrite(inner.ok_or_else(|| unbalanced.clone())?)?);
        pattern.push(')');
        rest = behind;
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    let mut builder = regex::RegexBuilder::new(&pattern);
    match builder.size_limit(MAX_COMPILED).build() {
        Ok(compiled) => Ok(Value::from(compiled.is_match(value))),
        Err(regex::Error::CompiledTooBig(_)) => Err(too_big()),
        Err(_) => Err(Failure::Failed("not a regular expression")),
    }
}

/// A pattern of Go's, compiled within so many bytes.
pub(super) fn compiled(pattern: &str, bytes: usize) -> Result<regex::Regex, Failure> {
    let mut builder = regex::RegexBuilder::new(&rewrite(pattern)?);
    let compiled = builder.size_limit(bytes).build();
    compiled.map_err(|_| Failure::Failed("not a regular expression"))
}

fn delimiter(text: &str) -> Result<char, Failure> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(delimiter), None) => Ok(delimiter),
        _ => Err(Failure::Failed("a delimiter has to be one character")),
    }
}

/// Bytes from the delimiter a text begins with to the one that closes it.
fn enclosed(text: &str, start: char, end: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        if character == start {
            depth += 1;
        } else if character == end {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at + character.len_utf8());
            }
        }
    }
    None
}

fn too_big() -> Failure {
    Failure::Limit("a regular expression of this size is refused".to_owned())
}

/// Calls the interpreter's built-in of that name with its pattern, which is one of the arguments,
/// rewritten.
fn interpreted(name: &str, arguments: &[Value], pattern: usize) -> Answer {
    let rewritten = rewrite(text(arguments, pattern)?)?;
    let arguments: Vec<_> = arguments
        .iter()
        .enumerate()
        .map(|(index, value)| match index == pattern {
            true => Value::from(rewritten.as_str()),
            false => value.clone(),
        })
        .collect();
    of_interpreter(name, &arguments)
}

// === Syntax ===

fn rewrite(pattern: &str) -> Result<String, Failure> {
    if pattern.len() > MAX_PATTERN {
        return Err(too_big());
    }
    let mut rewritten = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '\\' => escape(rest, &mut rewritten),
            '[' => class(rest, &mut rewritten),
            // Rule: a brace that begins no repetition is itself.
            '{' if !is_repetition(rest) => {
                rewritten.push_str("\\{");
                skip(rest, 1)
            }
            other => {
                rewritten.push(other);
                skip(rest, other.len_utf8())
            }
        };
    }
    Ok(rewritten)
}

fn skip(text: &str, bytes: usize) -> &str {
    text.get(bytes..).unwrap_or_default()
}

/// Whether a text begins with `{1}`, `{1,}` or `{1,2}`.
fn is_repetition(text: &str) -> bool {
    let Some((inner, _)) = skip(text, 1).split_once('}') else {
        return false;
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    !least.is_empty() && is_number(least) && is_number(most)
}

/// An escape outside of a class.
fn escape<'p>(text: &'p str, rewritten: &mut String) -> &'p str {
    let Some(escaped) = skip(text, 1).chars().next() else {
        rewritten.push('\\');
        return "";
    };
    let rest = skip(text, 1 + escaped.len_utf8());
    match escaped {
        // Rule: classes and boundaries know ASCII only.
        'd' | 's' | 'w' => {
            rewritten.push('[');
            rewritten.push_str(ascii(escaped).unwrap_or_default());
            rewritten.push(']');
        }
        'D' | 'S' | 'W' => {
            rewritten.push_str("[^");
            rewritten.push_str(ascii(escaped).unwrap_or_default());
            rewritten.push(']');
        }
        'b' => rewritten.push_str("(?-u:\\b)"),
        'B' => rewritten.push_str("(?-u:\\B)"),
        // Rule: text up to `\E` is itself.
        'Q' => {
            let (literal, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            rewritten.push_str(&regex::escape(literal));
            return rest;
        }
        // The braces of `\p{Greek}` and `\x{3b1}`.
        'p' | 'P' | 'x' => {
            let braces = rest.strip_prefix('{').and_then(|inner| inner.find('}'));
            let (name, rest) = rest
                .split_at_checked(braces.map_or(0, |end| end + 2))
                .unwrap_or((rest, ""));
            rewritten.push('\\');
            rewritten.push(escaped);
            rewritten.push_str(name);
            return rest;
        }
        // Boundaries of words to the crate.
        '<' | '>' | '_' => rewritten.push(escaped),
        other => {
            rewritten.push('\\');
            rewritten.push(other);
        }
    }
    rest
}

/// What a class of Perl's holds, or does not hold if its letter is a capital.
fn ascii(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' | 'D' => "0-9",
        's' | 'S' => "\\t\\n\\x0c\\r\\x20",
        'w' | 'W' => "0-9A-Za-z_",
        _ => return None,
    })
}

/// A class in brackets.
fn class<'p>(text: &'p str, rewritten: &mut String) -> &'p str {
    let mut rest = skip(text, 1);
    rewritten.push('[');
    if let Some(inner) = rest.strip_prefix('^') {
        rewritten.push('^');
        rest = inner;
    }
    // Rule: a bracket that comes first is itself.
    if let Some(inner) = rest.strip_prefix(']') {
        rewritten.push_str("\\]");
        rest = inner;
    }
    while let Some(first) = rest.chars().next() {
        rest = match first {
            ']' => {
                rewritten.push(']');
                return skip(rest, 1);
            }
            '\\' => class_escape(rest, rewritten),
            '[' => match posix(rest) {
                Some(name) => {
                    rewritten.push_str(name);
                    skip(rest, name.len())
                }
                // Classes within classes are the crate's alone, as are operators on them.
                None => literal(rest, '[', rewritten),
            },
            '&' | '~' => literal(rest, first, rewritten),
            other => {
                rewritten.push(other);
                skip(rest, other.len_utf8())
            }
        };
    }
    rest
}

fn literal<'p>(text: &'p str, character: char, rewritten: &mut String) -> &'p str {
    rewritten.push('\\');
    rewritten.push(character);
    skip(text, 1)
}

/// `[:alpha:]` and the like.
fn posix(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix("[:")?.split_once(":]")?;
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'^');
    text.get(..name.len() + 4).filter(|_| is_name)
}

fn class_escape<'p>(text: &'p str, rewritten: &mut String) -> &'p str {
    let Some(escaped) = skip(text, 1).chars().next() else {
        rewritten.push('\\');
        return "";
    };
    match (escaped, ascii(escaped)) {
        ('D' | 'S' | 'W', Some(members)) => {
            rewritten.push_str("[^");
            rewritten.push_str(members);
            rewritten.push(']');
        }
        (_, Some(members)) => rewritten.push_str(members),
        ('<' | '>' | '_', None) => rewritten.push(escaped),
        _ => {
            rewritten.push('\\');
            rewritten.push(escaped);
        }
    }
    skip(text, 1 + escaped.len_utf8())
}
