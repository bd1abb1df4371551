//! x
#[test]
fn probe() {
    for text in [
        "# h\nkind: A\nm:\n- a # c\n- &x b\n\nn:\n  - { h: x, q: [1, 2 ] } # c\n  - - z\n  - |\n    lit\n\n  # end\nk:\ne: { k: , l }\nf: &y [ &z a, \"b\",]\n---\n# c\nq: w\n...\n# t\n--- {a: b}\n",
        "m:\r\n  - a\r\n  -\r\n  - k: v\r\n    l: w\r\n  - &an\r\n    k: v",
    ] {
        let parser = crate::manifest::yaml::parser(text);
        for event in parser {
            let (event, span) = event.unwrap();
            let range = span.byte_range().unwrap();
            println!("{:?} {:?} {:?}", range, text.get(range.clone()), event);
        }
        println!("====");
    }
}
