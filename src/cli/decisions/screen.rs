//! What is written to standard output: nothing that a terminal would act on. Values of records come from
//! whoever sent the request.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use rustix::termios::tcgetwinsize;

/// Narrowest terminal that is believed.
const MIN_WIDTH: usize = 40;

/// Where lines go.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Screen {
    /// Characters on a line; where there is no terminal, as many as there are.
    pub(in crate::cli) width: Option<usize>,
    has_colors: bool,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Color {
    Red,
    Green,
}

impl Screen {
    pub(in crate::cli) fn of_output() -> Self {
        let output = std::io::stdout();
        let is_terminal = output.is_terminal();
        let size = is_terminal.then(|| tcgetwinsize(&output).ok()).flatten();
        let width = size.map(|size| usize::from(size.ws_col).max(MIN_WIDTH));
        Self {
            width,
            has_colors: is_terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()),
        }
    }

    #[cfg(test)]
    pub(in crate::cli) fn of(width: Option<usize>, has_colors: bool) -> Self {
        Self { width, has_colors }
    }

    /// A text that is clean, in colour where there is any.
    pub(in crate::cli) fn colored(self, text: &str, color: Color) -> String {
        let code = match color {
            Color::Red => 31,
            Color::Green => 32,
        };
        match self.has_colors {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// Prints a line. `false` if nobody reads any more.
pub(in crate::cli) fn print(line: &str) -> bool {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .is_ok()
}

/// Whether a character does something else than be seen: control characters, marks of direction, breaks
/// of lines, what has no width.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text with nothing hidden in it.
pub(in crate::cli) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match is_hidden(character) {
            true => clean.extend(character.escape_unicode()),
            false => clean.push(character),
        }
    }
    clean
}

/// JSON on a line, which parses back equal, with nothing hidden in it. Outside of texts there is nothing
/// to hide in.
pub(in crate::cli) fn clean_json(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    for character in json.chars() {
        if !is_hidden(character) {
            clean.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a text cannot fail.
            let _ = write!(clean, "\\u{unit:04x}");
        }
    }
    clean
}

/// A text that takes so many characters, or fewer.
pub(in crate::cli) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{start}…")
}
