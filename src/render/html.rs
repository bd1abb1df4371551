//! A plan as one self-contained HTML file, for phones and desktops, by day and by night.
//!
//! Invariant: every string from data goes through `escape::html`; no scripts, and nothing is loaded from anywhere.
//! It must not decide what is said: that is `outline`.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::escape::html as escape;
use super::findings::{sorted, total, word};
use super::groups::{Item, Section, Tone};
use super::outline::Outline;
use super::values::{DiffLine, LineSign, Shown};
use super::words::{Line, Piece, capitalized, prose};
use crate::model::{Finding, Op, Plan};

const CSS: &str = include_str!("plan.css");

/// Names of one item that are shown without opening it.
const AT_ONCE: usize = 8;

/// A plan.
#[must_use]
pub fn plan(plan: &Plan, zone: &TimeZone) -> String {
    let Outline { tone, headline, remarks, errors_first, sections, basis, effect, approvers, next } =
        Outline::of(plan, zone);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<main>\n\
         <header class=\"{class}\">\n<p class=\"brand\">rolecall plan</p>\n<h1>{title}</h1>\n",
        title = escape(&headline),
        class = class(tone),
    );
    for remark in &remarks {
        let _ = writeln!(page, "<p>{}</p>", line(remark));
    }
    page.push_str("</header>\n");
    if effect.is_some() || !next.is_empty() {
        page.push_str("<aside>\n");
        if let Some((short, whole)) = effect {
            let (short, whole) = (escape(&short), escape(&whole));
            let _ = writeln!(
                page,
                "<p>To approve: <code class=\"effect\">{short}</code></p>\n<p class=\"whole\"><code>{whole}</code></p>"
            );
        }
        if !approvers.is_empty() {
            page.push_str("<ul class=\"approvers\">\n");
            for approver in &approvers {
                let _ = writeln!(page, "<li>{}</li>", line(approver));
            }
            page.push_str("</ul>\n");
        }
        for (index, text) in next.iter().enumerate() {
            let label = if index == 0 { "Next: " } else { "Then: " };
            let _ = writeln!(page, "<p>{label}{}</p>", line(text));
        }
        page.push_str("</aside>\n");
    }
    if errors_first {
        findings(&mut page, &plan.findings);
    }
    for part in &sections {
        section(&mut page, part);
    }
    if !errors_first && !plan.findings.is_empty() {
        findings(&mut page, &plan.findings);
    }
    page.push_str("<footer>\n<dl>\n");
    for (label, text) in &basis {
        let _ = writeln!(page, "<dt>{label}</dt><dd>{}</dd>", line(text));
    }
    page.push_str("</dl>\n</footer>\n</main>\n</body>\n</html>\n");
    page
}

fn section(page: &mut String, section: &Section) {
    let Section { tone, title, lead, items, remedy } = section;
    let _ = writeln!(page, "<section class=\"{}\">\n<h2>{}</h2>", class(*tone), escape(title));
    if let Some(lead) = lead {
        let _ = writeln!(page, "<p class=\"lead\">{}</p>", line(lead));
    }
    for part in items {
        item(page, part);
    }
    if !remedy.is_empty() {
        let _ = writeln!(page, "<p>{}</p>", capitalized(section.remedy_lead()));
        let _ = if section.remedy_is_document() {
            let text: Vec<String> = remedy.iter().map(|line| escape(line)).collect();
            writeln!(page, "<pre>{}</pre>", text.join("\n"))
        } else {
            let text: Vec<String> = remedy.iter().map(|text| line(&prose(text))).collect();
            writeln!(page, "<p class=\"lead\">{}</p>", text.join("<br>"))
        };
    }
    page.push_str("</section>\n");
}

fn item(page: &mut String, item: &Item) {
    let Item { op, sign, title, names, fields, facts } = item;
    let _ = writeln!(
        page,
        "<article class=\"{}\">\n<h3><span class=\"sign\">{}</span> <span>{}</span></h3>",
        op_class(*op),
        sign,
        line(title)
    );
    let shown: Vec<String> =
        names.iter().map(|name| format!("<span class=\"name\">{}</span>", escape(name))).collect();
    if names.len() > AT_ONCE {
        let first = shown[..AT_ONCE].join(" ");
        let rest = shown[AT_ONCE..].join(" ");
        let more = names.len() - AT_ONCE;
        let _ = writeln!(
            page,
            "<p class=\"names\">{first}</p>\n<details><summary>{more} more</summary><p class=\"names\">{rest}</p></details>"
        );
    } else if !names.is_empty() {
        let _ = writeln!(page, "<p class=\"names\">{}</p>", shown.join(" "));
    }
    page.push_str("<dl>\n");
    for (name, shown) in fields {
        let _ = write!(page, "<dt>{}</dt><dd>", escape(name));
        match shown {
            Shown::Set(value) => {
                let _ = write!(page, "<code>{}</code>", escape(value));
            }
            Shown::Changed(old, new) => {
                let _ = write!(
                    page,
                    "<del><code>{}</code></del> → <ins><code>{}</code></ins>",
                    escape(old),
                    escape(new)
                );
            }
            Shown::Lines(lines) => diff(page, lines),
        }
        page.push_str("</dd>\n");
    }
    for (label, fact) in facts {
        let _ = writeln!(page, "<dt>{label}</dt><dd>{}</dd>", line(fact));
    }
    page.push_str("</dl>\n</article>\n");
}

fn diff(page: &mut String, lines: &[DiffLine]) {
    page.push_str("<pre class=\"diff\">");
    for DiffLine { sign, text } in lines {
        let text = escape(text);
        let _ = match sign {
            LineSign::Same => write!(page, "<span>  {text}</span>"),
            LineSign::Added => write!(page, "<ins>+ {text}</ins>"),
            LineSign::Removed => write!(page, "<del>- {text}</del>"),
            LineSign::Skipped => write!(page, "<span class=\"skipped\">· {text}</span>"),
        };
    }
    page.push_str("</pre>");
}

fn findings(page: &mut String, findings: &[Finding]) {
    let findings = sorted(findings);
    let _ = writeln!(page, "<section class=\"findings\">\n<h2>Findings ({})</h2>", total(&findings));
    for Finding { code, level, message, span, subject: _, help, notes, instead: _ } in findings {
        let _ = writeln!(
            page,
            "<article class=\"{level}\">\n<h3><span class=\"sign\">{code}</span> <span>{level}: {}</span></h3>\n<dl>",
            line(&prose(message)),
            level = word(*level),
            code = escape(code),
        );
        if let Some(span) = span {
            let _ = writeln!(page, "<dt>where</dt><dd class=\"place\">{}</dd>", escape(&span.to_string()));
        }
        for note in notes {
            let _ = writeln!(page, "<dt>note</dt><dd>{}</dd>", line(&prose(note)));
        }
        if let Some(help) = help {
            let help: Vec<String> = help.lines().map(|text| line(&prose(text))).collect();
            let _ = writeln!(page, "<dt>help</dt><dd>{}</dd>", help.join("<br>"));
        }
        page.push_str("</dl>\n</article>\n");
    }
    page.push_str("</section>\n");
}

fn line(line: &Line) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Words(text) => escape(text),
        Piece::Literal(text) => format!("<b>{}</b>", breakable(text)),
        Piece::Quoted(text) => format!("<code>{}</code>", breakable(text)),
        Piece::Place(text) => format!("<span class=\"place\">{}</span>", breakable(text)),
    };
    line.iter().map(piece).collect()
}

/// Lets long addresses break where their parts end.
fn breakable(text: &str) -> String {
    escape(text).replace('/', "/<wbr>").replace(':', ":<wbr>")
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Calm => "calm",
        Tone::Warn => "warn",
        Tone::Alarm => "alarm",
    }
}

fn op_class(op: Op) -> &'static str {
    match op {
        Op::Create | Op::Grant => "comes",
        Op::Update => "changes",
        Op::Delete | Op::Revoke => "goes",
        Op::Adopt | Op::Forget => "stays",
    }
}
