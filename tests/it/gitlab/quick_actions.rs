//! Which quick actions GitLab finds in a text: after `lib/gitlab/quick_actions/extractor.rb`, as far as it is known.
//!
//! Invariant: what GitLab would execute is found; what it skips (fences, inline code, HTML blocks, `>>>` quotes) is not.

/// The actions that matter here; GitLab has some seventy.
const NAMES: [&str; 16] = [
    "approve",
    "unapprove",
    "merge",
    "close",
    "reopen",
    "label",
    "unlabel",
    "assign",
    "reviewer",
    "title",
    "lock",
    "subscribe",
    "rebase",
    "ready",
    "draft",
    "cc",
];

/// The names of the quick actions in a text, in their order.
pub(crate) fn commands(text: &str) -> Vec<String> {
    // GitLab deletes these before it looks.
    let text = text.replace('\r', "");
    let mut found = Vec::new();
    let (mut fence, mut quote, mut html): (Option<String>, bool, Option<String>) = (None, false, None);
    for line in text.lines() {
        let bare = line.trim_end();
        if let Some(open) = &fence {
            if bare.trim() == open {
                fence = None;
            }
            continue;
        }
        if let Some(tag) = &html {
            if bare.contains(&format!("</{tag}>")) {
                html = None;
            }
            continue;
        }
        if bare.starts_with("```") {
            fence = Some("```".to_owned());
            continue;
        }
        if bare == ">>>" {
            quote = !quote;
            continue;
        }
        let tag: String = bare
            .strip_prefix('<')
            .unwrap_or_default()
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        if !tag.is_empty() && !bare.contains(&format!("</{tag}>")) {
            html = Some(tag);
            continue;
        }
        let word: String = line
            .strip_prefix('/')
            .unwrap_or_default()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if !quote && NAMES.contains(&word.to_lowercase().as_str()) {
            found.push(word.to_lowercase());
        }
    }
    found
}

#[test]
fn quick_actions_are_found_where_gitlab_finds_them() {
    for (text, expected) in [
        ("/approve", &["approve"][..]),
        ("hello\n/APPROVE please\n/merge", &["approve", "merge"]),
        ("hello\r\n/approve\r\n", &["approve"]),
        ("hello\n/ap\rprove", &["approve"]),
        (" /approve", &[]),
        ("say /approve", &[]),
        ("/approved", &[]),
        ("```\n/approve\n```\n/merge", &["merge"]),
        (">>>\n/approve\n>>>\n/close", &["close"]),
        ("<div>\n/approve\n</div>\n/lock", &["lock"]),
        ("`/approve`", &[]),
    ] {
        assert_eq!(commands(text), expected, "{text:?}");
    }
}
