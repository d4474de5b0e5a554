//! How secrets look in a text of which nobody says what it is: what stands behind a name, passwords in
//! URLs, credentials behind their scheme, tokens. Which names are those of secrets is left to `mask`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// How often escapes are undone, one kind at a time. Who escapes more often hides something.
const MAX_ROUNDS: usize = 6;
/// How JSON's first bytes, `{"`, look in base64url.
const TOKEN_START: &str = "eyJ";
/// How tokens of well-known makers begin.
const KNOWN_STARTS: [&str; 14] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "sk_live_",
    "rk_live_",
    "AIza",
    "hvs.",
];
/// How keys and certificates in PEM begin.
const PEM: &str = "-----BEGIN";
/// How long what follows must be at least.
const MIN_KNOWN: usize = 16;
/// Schemes of HTTP authentication whose credentials are one word, or parameters.
const SCHEMES: [&str; 8] = [
    "token",
    "basic",
    "bearer",
    "digest",
    "dpop",
    "negotiate",
    "ntlm",
    "aws4-hmac-sha256",
];
/// Digits of a port.
const MAX_PORT: usize = 5;
/// Shortest credentials.
const MIN_CREDENTIALS: usize = 4;
/// Of the schemes, the one that nobody writes but before credentials.
const NO_WORD: &str = "bearer";

/// A text with its escapes undone, as often as they are: `%70`, `%2570`, `\"`, `\u0070`. `None`: more
/// often than anybody would.
pub(super) fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_ROUNDS {
        let undone = match (has_percent(&text), text.contains('\\')) {
            (true, _) => percent_decode_str(&text).decode_utf8_lossy().into_owned(),
            (false, true) => without_backslashes(&text),
            (false, false) => return Some(text),
        };
        text = Cow::Owned(undone);
    }
    None
}

fn has_percent(text: &str) -> bool {
    let mut triples = text.as_bytes().windows(3);
    triples.any(|triple| {
        matches!(triple, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}

/// JSON's escapes, however many backslashes they have by being quoted again and again.
fn without_backslashes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split('\\');
    plain.extend(pieces.next());
    for piece in pieces {
        let code = piece.strip_prefix('u').and_then(|code| code.get(..4));
        let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
        match code.and_then(char::from_u32) {
            Some(character) => {
                plain.push(character);
                plain.push_str(piece.get(5..).unwrap_or_default());
            }
            None => plain.push_str(piece),
        }
    }
    plain
}

/// Whether there is nothing to look for in a value: no name, no escape, no token. Most are such.
pub(super) fn is_plain(value: &str) -> bool {
    let (mut dots, mut others) = (0_usize, false);
    // Without an early end and with short sums, many bytes are looked at at once.
    for chunk in value.as_bytes().chunks(128) {
        let (mut in_chunk, mut other) = (0_u8, 0_u8);
        for byte in chunk {
            in_chunk = in_chunk.wrapping_add(u8::from(*byte == b'.'));
            other |= u8::from(matches!(
                byte,
                b'?' | b'#' | b'%' | b'=' | b':' | b'@' | b'\\'
            ));
        }
        dots = dots.wrapping_add(usize::from(in_chunk));
        others |= other != 0;
    }
    !others
        && (dots < 2 || !value.contains(TOKEN_START))
        && !is_known(value)
        && !shows_credentials(value)
}

/// Whether a text is, or holds, what lets somebody in, whatever it is called.
pub(super) fn looks_secret(text: &str) -> bool {
    unescaped(text).is_none_or(|text| is_secret(&text))
}

fn is_secret(text: &str) -> bool {
    looks_like_token(text) || is_known(text) || shows_credentials(text) || has_password(text)
}

/// A signed token gives itself away wherever it stands, and whatever of it is escaped: `{"` in
/// base64url, and two dots.
pub(super) fn looks_like_token(text: &str) -> bool {
    let decoded = match text.contains('%') {
        true => unescaped(text),
        false => Some(Cow::Borrowed(text)),
    };
    decoded.is_none_or(|text| {
        text.contains(TOKEN_START) && text.bytes().filter(|byte| *byte == b'.').count() >= 2
    })
}

/// Whether there is a token of a well-known maker in the text, or a private key.
pub(super) fn is_known(text: &str) -> bool {
    let in_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    words(text).any(|(first, from)| match first {
        b'g' | b'x' | b's' | b'r' | b'A' | b'h' => {
            let mut starts = KNOWN_STARTS.iter();
            let rest = starts.find_map(|start| from.strip_prefix(start));
            rest.is_some_and(|it| it.bytes().take_while(in_token).count() >= MIN_KNOWN)
        }
        b'-' => from.starts_with(PEM),
        _ => false,
    })
}

/// The text from each of its words on, with the first byte.
fn words(text: &str) -> impl Iterator<Item = (u8, &str)> {
    let separates = |byte: u8| byte <= b' ' || b"/,;=:+&\"'()[]{}<>|".contains(&byte);
    let mut is_before = true;
    let starts = text.bytes().enumerate().filter(move |(_, byte)| {
        let was_before = std::mem::replace(&mut is_before, separates(*byte));
        was_before && !is_before
    });
    starts.filter_map(|(at, first)| Some((first, text.get(at..)?)))
}

/// `Bearer TOKEN` and the like; not a challenge, which has a realm.
fn shows_credentials(text: &str) -> bool {
    let length = text.trim_start().len();
    words(text).any(|(first, from)| {
        if !matches!(first | 0x20, b't' | b'b' | b'd' | b'n' | b'a') {
            return false;
        }
        let Some((word, rest)) = from.split_once([' ', '+']) else {
            return false;
        };
        let mut schemes = SCHEMES.iter();
        let rest = rest.trim();
        schemes
            .find(|scheme| scheme.eq_ignore_ascii_case(word))
            .filter(|_| rest.len() >= MIN_CREDENTIALS && !rest.starts_with("realm="))
            .is_some_and(|scheme| match from.len() == length {
                true => rest.contains('=') || !rest.contains(char::is_whitespace),
                false => are_credentials(scheme, rest),
            })
    })
}

/// Whether what follows the name of a scheme within a text are credentials. Rule: words of a language have
/// no digits, and of the schemes only one is no such word.
fn are_credentials(scheme: &str, rest: &str) -> bool {
    let end = rest.find(|end: char| end.is_whitespace() || ",;".contains(end));
    let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    word.len() >= MIN_CREDENTIALS && (scheme == NO_WORD || has_digit)
}

/// Whether a URL in the text says who asks: `//name:password@host`.
fn has_password(text: &str) -> bool {
    let mut authorities = text.split("//").skip(1);
    authorities.any(|rest| user_of(rest).is_some_and(|end| end > 0))
}

/// Where the user of an authority ends.
pub(super) fn user_of(authority: &str) -> Option<usize> {
    let end = authority.find(|end: char| end.is_whitespace() || "/?#\"'<>".contains(end));
    authority.get(..end.unwrap_or(authority.len()))?.rfind('@')
}

/// What in a text, which is not escaped, stands behind a name of a secret: where it begins. Rule: `name=`,
/// `"name":`, and `name:` as languages have it that do not quote names.
pub(super) fn named_secret(text: &str, mut is_name: impl FnMut(&str) -> bool) -> Option<usize> {
    let signs = text.match_indices(['=', ':']);
    let mut found = signs.filter(|(at, sign)| {
        let (before, after) = text.split_at(*at);
        let name = match *sign {
            "=" => name_at_end(before),
            _ => member_at_end(before, after.get(1..).unwrap_or_default()),
        };
        name.is_some_and(&mut is_name)
    });
    found.next().map(|(at, _)| at + 1)
}

fn name_at_end(text: &str) -> Option<&str> {
    let text = text.trim_end();
    quoted_at_end(text).or_else(|| Some(word_at_end(text)))
}

/// Rule: an unquoted name is one where members are, where the text begins, or if a blank or a quote follows;
/// a host with its port is none, nor is `secrets:list`.
fn member_at_end<'a>(text: &'a str, after: &str) -> Option<&'a str> {
    let text = text.trim_end();
    quoted_at_end(text).or_else(|| {
        let word = word_at_end(text);
        let before = text.get(..text.len() - word.len()).unwrap_or_default();
        let before = before.trim_end();
        let are = |kind: fn(&u8) -> bool| after.as_bytes().iter().all(kind);
        let is_port = after.len() <= MAX_PORT && are(u8::is_ascii_digit);
        let is_verb = are(u8::is_ascii_alphabetic);
        let is_member = before.is_empty() && !is_port && !is_verb
            || before.ends_with(['{', '(', ','])
            || after.starts_with([' ', '\t', '\r', '\n', '"', '\'']);
        is_member.then_some(word)
    })
}

fn quoted_at_end(text: &str) -> Option<&str> {
    let quote = text
        .chars()
        .next_back()
        .filter(|quote| "\"'`".contains(*quote))?;
    let inner = text.strip_suffix(quote)?;
    let start = inner.rfind(quote).map_or(0, |at| at + 1);
    inner.get(start..)
}

fn word_at_end(text: &str) -> &str {
    let in_word = |character: char| {
        character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '[' | ']' | '$' | '+')
    };
    let start = text.rfind(|character| !in_word(character));
    let start = start.map_or(0, |at| text.ceil_char_boundary(at + 1));
    text.get(start..).unwrap_or_default()
}
