//! A configuration as a tree of text, whichever language it was written in, and taking fields out of it: what nobody takes is
//! reported.

use super::invalid;
use sigward_policies::decision::Refusal;

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Tree {
    /// Nothing, or `null`.
    Null,
    /// Text, a number, a truth value: as it stands in the file.
    Scalar(String),
    /// A list.
    List(Vec<Self>),
    /// A table, in the order of the file; no name twice.
    Map(Vec<(String, Self)>),
}

impl Tree {
    /// TOML as a tree.
    pub(super) fn of_toml(value: toml::Value) -> Self {
        match value {
            toml::Value::String(text) => Self::Scalar(text),
            toml::Value::Array(items) => Self::List(items.into_iter().map(Self::of_toml).collect()),
            toml::Value::Table(table) => Self::Map(
                table
                    .into_iter()
                    .map(|(name, value)| (name, Self::of_toml(value)))
                    .collect(),
            ),
            other => Self::Scalar(other.to_string()),
        }
    }
}

/// A table that fields are taken out of.
pub(super) struct Fields {
    path: String,
    fields: Vec<(String, Tree)>,
}

impl Fields {
    pub(super) fn of(tree: Tree, path: &str) -> Result<Self, Refusal> {
        match tree {
            Tree::Map(fields) => Ok(Self {
                path: path.to_owned(),
                fields,
            }),
            Tree::Null => Ok(Self {
                path: path.to_owned(),
                fields: Vec::new(),
            }),
            _ => Err(invalid(format!("{} is not a table", at(path, "")))),
        }
    }

    /// Where a field of this table is.
    pub(super) fn place(&self, name: &str) -> String {
        at(&self.path, name)
    }

    fn take(&mut self, name: &str) -> Option<Tree> {
        let index = self.fields.iter().position(|(field, _)| field == name)?;
        match self.fields.remove(index).1 {
            Tree::Null => None,
            tree => Some(tree),
        }
    }

    /// Text that may be missing.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Tree::Scalar(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(format!("{} is not text", self.place(name)))),
        }
    }

    /// Text that must be there.
    pub(super) fn needed(&mut self, name: &str) -> Result<String, Refusal> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| invalid(format!("{} is missing", self.place(name))))
    }

    /// A list of texts; missing is empty.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Refusal> {
        let place = self.place(name);
        self.list(name)?
            .into_iter()
            .map(|item| match item {
                Tree::Scalar(text) => Ok(text),
                _ => Err(invalid(format!("{place} is not a list of texts"))),
            })
            .collect()
    }

    /// A table; missing is empty.
    pub(super) fn table(&mut self, name: &str) -> Result<Self, Refusal> {
        let place = self.place(name);
        Self::of(self.take(name).unwrap_or(Tree::Null), &place)
    }

    /// A list of tables; missing is empty.
    pub(super) fn tables(&mut self, name: &str) -> Result<Vec<Self>, Refusal> {
        let place = self.place(name);
        self.list(name)?
            .into_iter()
            .enumerate()
            .map(|(index, item)| Self::of(item, &format!("{place}[{index}]")))
            .collect()
    }

    fn list(&mut self, name: &str) -> Result<Vec<Tree>, Refusal> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Tree::List(items)) => Ok(items),
            Some(_) => Err(invalid(format!("{} is not a list", self.place(name)))),
        }
    }

    /// Whether the field is there with a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|(field, tree)| field == name && *tree != Tree::Null)
    }

    /// Takes a field that means nothing to sigward, and that nobody needs to hear of.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        self.fields.retain(|(field, _)| !names.contains(&&**field));
    }

    /// What nobody has taken.
    pub(super) fn rest(self, not_understood: &mut Vec<String>) {
        for (name, _) in &self.fields {
            not_understood.push(at(&self.path, name));
        }
    }
}

fn at(path: &str, name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    match (path, &*name) {
        ("", "") => "the file".to_owned(),
        ("", name) => name.to_owned(),
        (path, "") => path.to_owned(),
        (path, name) => format!("{path}.{name}"),
    }
}
