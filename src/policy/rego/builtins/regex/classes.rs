//! Classes of characters that patterns name, as Go knows them, and what they are for the `regex` crate.
//! Where in a pattern they stand is left to `syntax`.

use super::syntax::Invalid;

/// What a class of Perl's holds, or does not hold if its letter is a capital. Rule: ASCII only.
pub(super) fn ascii(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' | 'D' => "0-9",
        's' | 'S' => "\\t\\n\\x0c\\r\\x20",
        'w' | 'W' => "0-9A-Za-z_",
        _ => return None,
    })
}

/// Names of classes in brackets and colons.
pub(super) const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// General categories of Unicode by their short names.
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Co", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd",
    "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z",
    "Zl", "Zp", "Zs",
];

/// Scripts whose names are as short as the codes that the crate takes for names, too.
const SHORT_SCRIPTS: &[&str] = &[
    "Ahom", "Cham", "Han", "Kawi", "Lao", "Lisu", "Miao", "Modi", "Mro", "Nko", "Thai", "Toto",
    "Vai", "Yi",
];

/// Rule: `Any`, a general category or a script, in Go's spelling; no other property.
pub(super) fn unicode(name: &str) -> Result<String, Invalid> {
    let is_word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let begins = |part: &str| part.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_script = name.bytes().all(is_word)
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.split('_').all(begins)
        && (name.len() > 4 || SHORT_SCRIPTS.contains(&name));
    match name {
        "Any" => Ok("\\x{0}-\\x{10ffff}".to_owned()),
        // The crate's has what is not assigned, too.
        "C" => Ok("\\p{gc=Cc}\\p{gc=Cf}\\p{gc=Co}".to_owned()),
        name if CATEGORIES.contains(&name) => Ok(format!("\\p{{gc={name}}}")),
        name if is_script => Ok(format!("\\p{{script={name}}}")),
        _ => Err(Invalid),
    }
}
