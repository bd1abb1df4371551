//! Writes XML.
//!
//! Invariant: texts are escaped; elements are closed.

/// XML being written.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// The outermost element.
    pub(super) fn root(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Self)) {
        self.0.extend(["<", name, " xmlns=\"", namespace, "\">"]);
        inside(self);
        self.0.extend(["</", name, ">"]);
    }

    /// An element with others inside.
    pub(super) fn node(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.0.extend(["<", name, ">"]);
        inside(self);
        self.0.extend(["</", name, ">"]);
    }

    /// An element with a text inside.
    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.node(name, |xml| xml.0.push_str(&quick_xml::escape::escape(text)));
    }

    /// A list of elements.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.node(name, |xml| {
            for item in items {
                xml.node("member", |xml| each(xml, item));
            }
        });
    }

    /// What is XML already.
    pub(super) fn raw(&mut self, xml: &str) {
        self.0.push_str(xml);
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.0
    }
}
