//! `forge:` and `approvals.keys` of the settings: where merge requests are, and whose signatures count.
//!
//! Invariant: an address that is read here is https, or loopback, and holds no credentials. It must not call anything.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::settings_body::{ForgeBody, ForgeSettings, Notes};
use crate::model::decode::WRONG_VALUE;
use crate::model::settings::Forge;
use crate::model::{Finding, Spanned};

/// What an Ed25519 key in the form of X.509 begins with (RFC 8410); the 32 bytes of the key follow.
const HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The bytes of a public key, as OpenSSL prints it without its lines of dashes.
pub(super) fn public_key(text: &str) -> Option<[u8; 32]> {
    let bytes = STANDARD.decode(text.split_whitespace().collect::<String>()).ok()?;
    bytes.strip_prefix(&HEAD)?.try_into().ok()
}

/// Whether a text can mark notes: it stands in an HTML comment.
#[must_use]
pub fn is_target(text: &str) -> bool {
    !text.is_empty()
        && !text.contains("--")
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
}

/// Reads `forge:`; nothing where a part of it that is needed is wrong.
pub(super) fn forge(body: ForgeBody, findings: &mut Vec<Finding>) -> Option<Forge> {
    let ForgeBody { url, project, bot, target, environment, notes, settings } = body;
    let mut wrong = |text: &Spanned<String>, message: String, help: &str| {
        findings.push(Finding::error(WRONG_VALUE, message).at(&text.span).help(help));
    };
    let url =
        url.unwrap_or_else(|| Spanned { value: "https://gitlab.com".to_owned(), span: project.span.clone() });
    let parsed = url.value.parse::<url::Url>().ok().filter(|parsed| {
        let host = parsed.host_str().unwrap_or_default();
        let here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        let bare = parsed.username().is_empty() && parsed.password().is_none();
        let nothing_else = parsed.query().is_none() && parsed.fragment().is_none();
        !host.is_empty()
            && bare
            && nothing_else
            && (parsed.scheme() == "https" || (parsed.scheme() == "http" && here))
    });
    if parsed.is_none() {
        wrong(
            &url,
            format!("`{}` is no address of a GitLab", url.value),
            "write such as `https://gitlab.com`",
        );
    }
    let is_path = project.split('/').count() > 1
        && project.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && project.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    if !is_path {
        let message = format!("`{}` is no project", project.value);
        wrong(&project, message, "write it with its groups, such as `acme/access`");
    }
    if let Some(target) = target.as_ref().filter(|target| !is_target(target)) {
        wrong(
            target,
            format!("`{}` cannot mark notes", target.value),
            "write it in lower case: letters, digits, `.`, `_`, `-`",
        );
    }
    Some(Forge {
        url: Spanned { value: parsed?, span: url.span },
        project: project.value,
        bot,
        target: target.map_or_else(|| "access".to_owned(), |target| target.value),
        environment,
        notes: match notes {
            Notes::Auto => None,
            Notes::Trusted => Some(true),
            Notes::Advice => Some(false),
        },
        lenient: settings == ForgeSettings::Recorded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_openssl_prints() {
        let text = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        assert!(public_key(text).is_some());
        for wrong in ["", "x", &text[4..], "MCowBQYDK2VuAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="] {
            assert_eq!(public_key(wrong), None, "{wrong}");
        }
    }
}
