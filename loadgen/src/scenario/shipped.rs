//! The scenarios that ship: files of `loadgen/scenarios`, part of the program.

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

/// Every scenario that ships, by name.
pub const SHIPPED: [Shipped; 6] = [
    Shipped { name: "cgm", text: include_str!("../../scenarios/cgm.toml") },
    Shipped { name: "hospital", text: include_str!("../../scenarios/hospital.toml") },
    Shipped { name: "hostile-mix", text: include_str!("../../scenarios/hostile-mix.toml") },
    Shipped { name: "reconnect-storm", text: include_str!("../../scenarios/reconnect-storm.toml") },
    Shipped { name: "ward", text: include_str!("../../scenarios/ward.toml") },
    Shipped { name: "wearables", text: include_str!("../../scenarios/wearables.toml") },
];

impl Shipped {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Shipped> {
        SHIPPED.iter().find(|one| one.name == name)
    }

    /// Their names, as a sentence lists them.
    pub fn names() -> String {
        SHIPPED.map(|one| one.name).join(", ")
    }

    /// The first line of the comment that it begins with: what it is like in life.
    pub fn about(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches(['#', ' '])
    }
}
