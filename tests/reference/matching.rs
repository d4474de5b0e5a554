//! Whether one written value matches one thing of a request, each function the shortest reading of
//! its sentence in Istio's semantics: bytes, no compiled form, nothing shared with the library.

use std::net::IpAddr;

use serde_json::Value;

/// Rule: `*` presence, `*x` suffix, `x*` prefix, else exact, tried in this order; other stars are
/// literal. Presence is `.+`: not empty and no newline.
pub fn generic(value: &str, text: &[u8]) -> bool {
    if value == "*" {
        is_present(text)
    } else {
        ends_or_starts_or_equals(value.as_bytes(), text)
    }
}

/// Rule: presence of a header is that it exists, even with an empty value; each line is tried by
/// itself.
pub fn header(value: &str, lines: &[Vec<u8>]) -> bool {
    let one = |line: &Vec<u8>| value == "*" || ends_or_starts_or_equals(value.as_bytes(), line);
    lines.iter().any(one)
}

/// Rule: as a header, but without regard to ASCII case; the port is part of the host.
pub fn host(value: &str, host: &str) -> bool {
    header(
        &value.to_ascii_lowercase(),
        &[host.to_ascii_lowercase().into_bytes()],
    )
}

fn is_present(text: &[u8]) -> bool {
    !text.is_empty() && !text.contains(&b'\n')
}

fn ends_or_starts_or_equals(value: &[u8], text: &[u8]) -> bool {
    match value {
        [b'*', rest @ ..] => text.ends_with(rest),
        [rest @ .., b'*'] => text.starts_with(rest),
        exact => text == exact,
    }
}

/// Rule: `*` is any identity; `*x` begins with `spiffe://` and what follows ends with x; `x*` and
/// `x` have `spiffe://` put before them.
pub fn principal(value: &str, identity: &str) -> bool {
    if value == "*" {
        return is_present(identity.as_bytes());
    }
    match identity.strip_prefix("spiffe://") {
        Some(rest) => ends_or_starts_or_equals(value.as_bytes(), rest.as_bytes()),
        None => false,
    }
}

/// Rule: `.*/ns/` + value + `/.*`, every star of the value any run of characters.
pub fn namespace(value: &str, identity: &str) -> bool {
    glob(format!("*/ns/{value}/*").as_bytes(), identity.as_bytes())
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|skipped| glob(rest, &text[skipped..])),
        [first, rest @ ..] => text.first() == Some(first) && glob(rest, &text[1..]),
    }
}

/// Rule: `<ns>/<sa>`, or `<sa>` of the policy's own namespace, against
/// `spiffe://.+/ns/NS/(.+/|)sa/SA(/.+)?`.
pub fn service_account(value: &str, own_namespace: &str, identity: &str) -> bool {
    let (namespace, account) = value.split_once('/').unwrap_or((own_namespace, value));
    let Some(rest) = identity.strip_prefix("spiffe://") else {
        return false;
    };
    let (head, tail) = (format!("/ns/{namespace}/"), format!("sa/{account}"));
    let splits = |text: &str| (0..=text.len()).collect::<Vec<_>>();
    splits(rest).into_iter().any(|at| {
        let after = rest.as_bytes()[at..].strip_prefix(head.as_bytes());
        let has_domain = at > 0;
        has_domain
            && after.is_some_and(|after| {
                (0..=after.len()).any(|at| {
                    let (between, account) = after.split_at(at);
                    let extra =
                        between.is_empty() || (between.len() > 1 && between.ends_with(b"/"));
                    let end = account.strip_prefix(tail.as_bytes());
                    let ends = |end: &[u8]| end.is_empty() || (end.len() > 1 && end[0] == b'/');
                    extra && end.is_some_and(ends)
                })
            })
    })
}

/// Rule: `*` is any identity with `spiffe://`; else the text between that and the next slash, in
/// which the one star stands for any run.
pub fn trust_domain(value: &str, identity: &str) -> bool {
    let Some(rest) = identity.strip_prefix("spiffe://") else {
        return false;
    };
    value == "*"
        || rest
            .split_once('/')
            .is_some_and(|(domain, _)| glob(value.as_bytes(), domain.as_bytes()))
}

/// Rule: an address or a block; host bits are allowed and masked; another family never matches.
pub fn ip(value: &str, address: IpAddr) -> bool {
    let (network, length) = match value.split_once('/') {
        Some((network, length)) => (network, Some(length.parse::<usize>().unwrap())),
        None => (value, None),
    };
    let bits =
        |octets: &[u8]| -> String { octets.iter().map(|byte| format!("{byte:08b}")).collect() };
    let (network, address) = match (network.parse().unwrap(), address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (bits(&network.octets()), bits(&address.octets()))
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            (bits(&network.octets()), bits(&address.octets()))
        }
        _ => return false,
    };
    let length = length.unwrap_or(network.len());
    network[..length] == address[..length]
}

/// Rule: the value is split at the last slash into issuer and subject, both of which must be
/// strings of the token; what each then has to be depends on where the star stands.
pub fn request_principal(value: &str, claims: &Value) -> bool {
    let (Some(issuer), Some(subject)) = (claims["iss"].as_str(), claims["sub"].as_str()) else {
        return false;
    };
    let has = |text: &str| is_present(text.as_bytes());
    let slash = value.rsplit_once('/');
    if value == "*" {
        return has(issuer) && has(subject);
    }
    if let Some(rest) = value.strip_prefix('*') {
        return match slash {
            // `*foo`
            None => has(issuer) && subject.ends_with(rest),
            // `*/foo`
            Some(("*", exact)) => has(issuer) && subject == exact,
            // `*bar/foo`
            Some((suffix, exact)) => issuer.ends_with(&suffix[1..]) && subject == exact,
        };
    }
    if let Some(rest) = value.strip_suffix('*') {
        return match slash {
            // `foo*`
            None => issuer.starts_with(rest) && has(subject),
            // `foo/*`
            Some((exact, "*")) => issuer == exact && has(subject),
            // `foo/bar*`
            Some((exact, prefix)) => {
                issuer == exact && subject.starts_with(&prefix[..prefix.len() - 1])
            }
        };
    }
    match slash {
        Some((exact, subject_exact)) => issuer == exact && subject == subject_exact,
        None => issuer == value && subject.is_empty(),
    }
}

/// Rule: a string that matches, or a list with a string that does. Nothing else ever matches, and
/// lists in lists are not looked into.
pub fn claim(value: &str, claim: &Value) -> bool {
    let text = |item: &Value| {
        item.as_str()
            .is_some_and(|text| generic(value, text.as_bytes()))
    };
    match claim {
        Value::Array(items) => items.iter().any(text),
        single => text(single),
    }
}

/// Rule: `[v]` is a list with an element that matches v, and `[[v]]` the same; else the value must
/// be a string.
pub fn metadata(value: &str, found: &Value) -> bool {
    if value.starts_with('[') && value.ends_with(']') {
        let inside = value.trim_matches(['[', ']']);
        found.is_array() && claim(inside, found)
    } else {
        found.is_string() && claim(value, found)
    }
}

/// Whether a value of `paths` is a template.
pub fn is_template(value: &str) -> bool {
    value.contains("{*}") || value.contains("{**}")
}

/// Rule: `{*}` is one or more, `{**}` any number of the bytes a path consists of, `{**}` slashes
/// too; everything else is literal and the whole path must match. `any_byte` lifts the restriction
/// on bytes.
pub fn template(value: &str, path: &str, any_byte: bool) -> bool {
    let parts: Vec<_> = value.split('/').collect();
    segments(&parts, path.as_bytes(), any_byte)
}

fn segments(parts: &[&str], text: &[u8], any_byte: bool) -> bool {
    let [part, rest @ ..] = parts else {
        panic!("a split has at least one part")
    };
    // What the first part may take, then the slash before the next part, or the end.
    let allowed = |byte: &u8| match part {
        &"{*}" => *byte != b'/' && (any_byte || is_path_byte(*byte)),
        _ => any_byte || *byte == b'/' || is_path_byte(*byte),
    };
    let follows = |taken: usize| match rest {
        [] => taken == text.len(),
        rest => text.get(taken) == Some(&b'/') && segments(rest, &text[taken + 1..], any_byte),
    };
    match *part {
        "{*}" | "{**}" => {
            let least = usize::from(*part == "{*}");
            let most = text.iter().take_while(|byte| allowed(byte)).count();
            (least..=most).any(follows)
        }
        literal => text.starts_with(literal.as_bytes()) && follows(literal.len()),
    }
}

/// Rule: `a-zA-Z0-9-._~%!$&'()+,;:@=`, and `*` since Envoy 1.31.8.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=*".contains(&byte)
}
