//! Requests as proxies tell them, put together of parts with a few values each. Those of a pool differ
//! in one part or a few, so that what one of them left in a cache could be taken for another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::attributes::Attributes;
use serde_json::{Value, json};

use super::parts::{FORMS, HEADERS, OTHERS, PARTS, PLACES, SHAPES, TELLING, VERSIONS};
use super::random::Random;
use super::tokens::TOKENS;
use super::twins::TWINS;

/// How many values each part has: first those of the table, then headers, then what is told above.
static COUNTS: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let parts = PARTS.iter().map(|(_, values)| values.len());
    let headers = HEADERS.iter().map(|(_, values)| values.len());
    let others = [
        SHAPES.len(),
        FORMS.len(),
        VERSIONS.len(),
        PLACES.len(),
        TOKENS.len() + 1,
        TOKENS.len() + 1,
    ];
    parts.chain(headers).chain(others).collect()
});

/// The part that is the token.
static TOKEN_PART: LazyLock<usize> = LazyLock::new(|| COUNTS.len() - 2);

/// A request by the values of its parts.
#[derive(Clone, PartialEq)]
pub struct Sent(Vec<usize>);

/// Requests that differ in little.
pub struct Pool(pub Vec<(Sent, Attributes)>);

impl Pool {
    /// Requests to be asked of policies, of which this is the text.
    pub fn of(random: &mut Random, count: usize, policies: &str) -> Self {
        let first = Sent::any(random);
        // Many of them differ in the same parts, among them such as policies may read.
        let read = read(policies);
        let mut focus: Vec<_> = (0..3).map(|_| random.below(COUNTS.len())).collect();
        if !read.is_empty() {
            focus.extend((0..8).map(|_| *random.pick(&read)));
        }
        if random.percent(50) {
            focus.push(*TOKEN_PART);
        }
        let mut all = vec![first];
        let twins = random.below(7);
        while all.len() + 2 * twins < count {
            let mut other = random.pick(&all).clone();
            for _ in 0..*random.pick(&[1, 1, 1, 2, 3]) {
                let part = if random.percent(65) {
                    *random.pick(&focus)
                } else {
                    random.below(COUNTS.len())
                };
                other.0[part] = random.below(COUNTS[part]);
            }
            all.push(other);
        }
        let near: Vec<_> = TWINS
            .iter()
            .filter(|twins| are_read(twins, &read))
            .collect();
        for _ in 0..twins {
            let twins = match random.percent(70) && !near.is_empty() {
                true => *random.pick(&near),
                false => random.pick(TWINS),
            };
            let base = random.pick(&all).clone();
            all.extend(twins.iter().map(|changes| base.with(changes)));
        }
        // The first are asked most often.
        for at in 1..all.len() {
            all.swap(at, random.below(at + 1));
        }
        let all = all.into_iter().map(|sent| {
            let attributes = sent.attributes();
            (sent, attributes)
        });
        Self(all.collect())
    }
}

/// Parts that are named in a text of policies.
fn read(policies: &str) -> Vec<usize> {
    let names = PARTS
        .iter()
        .map(|(name, _)| *name)
        .chain(HEADERS.iter().map(|(name, _)| *name));
    let is_read = |name: &str| {
        let own = name
            .rsplit('/')
            .find(|part| part.len() > 1)
            .unwrap_or_default();
        let told = TELLING
            .iter()
            .any(|(word, part)| *part == name && policies.contains(word));
        told || policies.contains(own)
    };
    names
        .enumerate()
        .filter(|(_, name)| is_read(name))
        .map(|(at, _)| at)
        .collect()
}

/// Whether policies may tell one from the other. All that is read can be there or not.
fn are_read(twins: &[&[(&str, usize)]; 2], read: &[usize]) -> bool {
    let mut changes = twins.iter().copied().flatten();
    changes.any(|(name, _)| *name == "shape" || read.contains(&part(name)))
}

fn part(name: &str) -> usize {
    let parts = PARTS.iter().position(|(part, _)| *part == name);
    let headers = || {
        HEADERS
            .iter()
            .position(|(part, _)| *part == name)
            .map(|at| PARTS.len() + at)
    };
    let others = || {
        let other = OTHERS.iter().position(|part| *part == name);
        other.map(|at| PARTS.len() + HEADERS.len() + at)
    };
    parts.or_else(headers).or_else(others).unwrap()
}

impl Sent {
    fn with(&self, changes: &[(&str, usize)]) -> Self {
        let mut changed = self.clone();
        for (name, value) in changes {
            changed.0[part(name)] = *value;
        }
        changed
    }

    fn any(random: &mut Random) -> Self {
        let mut any = |count: usize| {
            if random.percent(65) {
                0
            } else {
                random.below(count)
            }
        };
        let mut sent = Self(COUNTS.iter().map(|count| any(*count)).collect());
        // Most carry a token.
        sent.0[*TOKEN_PART] = random.below(COUNTS[*TOKEN_PART]);
        sent
    }

    fn other(&self, at: usize) -> usize {
        self.0[PARTS.len() + HEADERS.len() + at]
    }

    /// Headers by name, in the order in which they are sent.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        for ((name, values), at) in HEADERS.iter().zip(&self.0[PARTS.len()..]) {
            lines.extend(values[*at].iter().map(|line| (*name, (*line).to_owned())));
        }
        for (place, token) in self.tokens() {
            match place {
                "authorization" => lines.push((place, format!("Bearer {token}"))),
                "x-token" => lines.push((place, format!("T {token}"))),
                "session" => lines.push(("cookie", format!("a=b; session={token}"))),
                "basic" => lines.push(("authorization", format!("Basic {token}"))),
                _ => {}
            }
        }
        lines
    }

    /// The tokens it carries, one in the place that is told and perhaps one in the usual place.
    fn tokens(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let first = TOKENS
            .get(self.other(4))
            .map(|token| (PLACES[self.other(3)], &*token.text));
        // Not often two.
        let second = TOKENS.get(self.other(5)).filter(|_| self.other(5) % 4 == 1);
        let second = second.map(|token| ("authorization", &*token.text));
        first.into_iter().chain(second)
    }

    fn shape(&self) -> &'static str {
        SHAPES[self.other(0)]
    }

    /// As a `CheckRequest` in protobuf's JSON.
    pub fn json(&self) -> Value {
        if self.shape() == "nothing" {
            return json!({});
        }
        let mut attributes = json!({});
        for ((path, values), at) in PARTS.iter().zip(&self.0) {
            if !values[*at].is_empty() {
                let value: Value = serde_json::from_str(values[*at]).unwrap();
                *at_path(&mut attributes, path) = value;
            }
        }
        match self.shape() {
            "tcp" => attributes["request"] = json!({}),
            "no request" => drop(attributes.as_object_mut().unwrap().remove("request")),
            _ => self.http(&mut attributes["request"]["http"]),
        }
        json!({"attributes": attributes})
    }

    fn http(&self, http: &mut Value) {
        for (place, token) in self.tokens() {
            if let ("access_token", Some(path)) = (place, http["path"].as_str()) {
                let sign = if path.contains('?') { '&' } else { '?' };
                http["path"] = format!("{path}{sign}access_token={token}").into();
            }
        }
        let form = FORMS[self.other(1)];
        let lines = self.lines();
        if form == "joined" {
            let mut joined: BTreeMap<String, String> = BTreeMap::new();
            for (name, value) in lines {
                let before = joined.entry(name.to_ascii_lowercase());
                before
                    .and_modify(|before| *before = format!("{before},{value}"))
                    .or_insert(value);
            }
            http["headers"] = json!(joined);
        } else {
            let line = |(name, value): &(&str, String)| match form {
                "lines" => json!({"key": name, "rawValue": STANDARD.encode(value)}),
                _ => json!({"key": name, "value": value}),
            };
            http["headerMap"] = json!({"headers": lines.iter().map(line).collect::<Vec<_>>()});
        }
    }

    pub fn attributes(&self) -> Attributes {
        let json = self.json();
        let mut attributes =
            doorward::ext_authz::from_json(&json).unwrap_or_else(|why| panic!("{why}\n{json}"));
        attributes.version = VERSIONS[self.other(2)];
        attributes
    }
}

/// A place inside of objects, which are made if they are not there.
fn at_path<'a>(json: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('/').fold(json, |inner, name| {
        // A part that was told whole stays what it is.
        if !inner.is_object() {
            *inner = json!({});
        }
        &mut inner[name]
    })
}

impl fmt::Debug for Sent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<_> = [self.other(4), self.other(5)]
            .map(|at| TOKENS.get(at).map(|token| &token.name))
            .into();
        write!(
            formatter,
            "{:?} {}\n  tokens: {tokens:?}",
            VERSIONS[self.other(2)],
            self.json()
        )
    }
}
