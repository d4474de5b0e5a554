//! Trust domain aliases: a name of the mesh's own stands for the same name in all of them.

use super::matcher::Pattern;

/// Trust domains that count as the mesh's own: its trust domain and the aliases.
pub(super) type TrustDomains = [String];

/// Rule: a full principal of the mesh's own trust domain, or of `cluster.local`, stands for the
/// same principal in every trust domain of the mesh (`pilot/pkg/security/trustdomain`).
pub(super) fn expand_principal(value: &str, trust_domains: &TrustDomains) -> Vec<String> {
    let parts: Vec<_> = value.split('/').collect();
    let [domain, rest @ ..] = parts.as_slice() else {
        return vec![value.to_owned()];
    };
    if parts.len() != 5 || *domain == "*" {
        return vec![value.to_owned()];
    }
    let pattern = Pattern::parse(domain);
    let own = *domain == "cluster.local"
        || trust_domains
            .iter()
            .any(|known| pattern.matches_bytes(known.as_bytes()));
    if !own {
        return vec![value.to_owned()];
    }
    let rest = rest.join("/");
    let mut expanded: Vec<String> = Vec::new();
    for known in trust_domains {
        // A pattern that covers the known domain already stays as it is.
        let keep = matches!(pattern, Pattern::Suffix(_)) && pattern.matches_bytes(known.as_bytes());
        let principal = if keep {
            value.to_owned()
        } else {
            format!("{known}/{rest}")
        };
        if !expanded.contains(&principal) {
            expanded.push(principal);
        }
    }
    expanded
}
