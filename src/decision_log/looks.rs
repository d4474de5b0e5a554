//! How secrets look in a text of which nobody says what it is: what stands behind a name, passwords in
//! URLs, credentials behind their scheme, tokens. Which names are those of secrets is left to `mask`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// How often escapes are undone, one kind at a time. Who escapes more often hides something.
const MAX_ROUNDS: usize = 6;
/// How JSON's first bytes, `{"`, look in base64url.
const TOKEN_START: &str = "eyJ";
/// How tokens of well-known makers begin, and private keys.
const KNOWN_STARTS: [&str; 15] = [
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
    "-----BEGIN",
];
/// How long what follows must be at least.
const MIN_KNOWN: usize = 16;
/// Schemes of HTTP authentication whose credentials are one word, or parameters.
const SCHEMES: [&str; 7] = [
    "basic",
    "bearer",
    "digest",
    "dpop",
    "negotiate",
    "ntlm",
    "aws4-hmac-sha256",
];
/// Shortest credentials.
const MIN_CREDENTIALS: usize = 4;

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

/// Whether this is a token of a well-known maker, or has one as a segment.
pub(super) fn is_known(text: &str) -> bool {
    let in_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' ');
    text.split('/').any(|segment| {
        let mut starts = KNOWN_STARTS.iter();
        let rest = starts.find_map(|start| segment.strip_prefix(start));
        rest.is_some_and(|rest| rest.bytes().take_while(|byte| in_token(byte)).count() >= MIN_KNOWN)
    })
}

/// `Bearer TOKEN` and the like; not a challenge, which has a realm.
fn shows_credentials(text: &str) -> bool {
    let Some((scheme, rest)) = text.trim_start().split_once([' ', '+']) else {
        return false;
    };
    let rest = rest.trim();
    SCHEMES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme))
        && rest.len() >= MIN_CREDENTIALS
        && !rest.starts_with("realm=")
        && (rest.contains('=') || !rest.contains(char::is_whitespace))
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

/// Rule: an unquoted name is one where members are, or if a blank or a quote follows; a host is none.
fn member_at_end<'a>(text: &'a str, after: &str) -> Option<&'a str> {
    let text = text.trim_end();
    quoted_at_end(text).or_else(|| {
        let word = word_at_end(text);
        let before = text.get(..text.len() - word.len()).unwrap_or_default();
        let is_member = before.trim_end().ends_with(['{', '(', ','])
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
