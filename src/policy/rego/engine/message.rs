//! What the interpreter's errors say: place and text out of a drawing of the source, OPA's words for
//! some, and nothing of the values they tell. Which kind of error it is, is left to `engine`.

/// Position and text out of the interpreter's error, which draws the source line.
pub(super) struct PlainMessage {
    pub(super) file: String,
    pub(super) row: u64,
    pub(super) col: u64,
    pub(super) message: String,
}

/// Takes `--> FILE:ROW:COL … error: MESSAGE` apart.
pub(super) fn plain_message(text: &str) -> PlainMessage {
    let position = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("--> "))
        .unwrap_or_default();
    let mut parts = position.rsplitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.trim().parse().ok());
    let (col, row) = (number().unwrap_or(0), number().unwrap_or(0));
    let file = parts.next().unwrap_or_default().to_owned();
    // In a value the interpreter tells, no line begins like this.
    let message = match text.rsplit_once("\nerror: ") {
        Some((_, message)) => message.trim(),
        None => text.trim(),
    };
    PlainMessage {
        file,
        row,
        col,
        message: message.replace('\n', " "),
    }
}

/// What OPA says where the interpreter found that a rule or function has several values. Its own text
/// may show them.
pub(super) fn conflict(message: &str) -> Option<&'static str> {
    if message.starts_with("function") && message.contains("multiple outputs") {
        Some("functions must not produce multiple outputs for same inputs")
    } else if message.contains("multiple outputs") || message.starts_with("rule conflicts with") {
        Some("complete rules must not produce multiple outputs")
    } else if message.starts_with("value for key") && message.contains("generated multiple times") {
        Some("object keys must be unique")
    } else {
        None
    }
}

/// An error of the interpreter without the values that it ends with: they may be of the request, and
/// anybody's secret.
pub(super) fn without_values(message: &str) -> &str {
    let begins = ["Got `", "got `", "(path [", "internal error"];
    let cut = begins.iter().filter_map(|begin| message.find(begin)).min();
    let rest = cut.and_then(|cut| message.get(..cut)).unwrap_or(message);
    let rest = rest.trim_end_matches([' ', '.', ',']);
    if rest.is_empty() {
        "internal error"
    } else {
        rest
    }
}
