//! Tables for people and JSON for programs.

use std::fmt;

use crate::spread::Spread;
use serde_json::{Value, json};

use crate::machine::Machine;

/// One table.
#[derive(Clone, Debug)]
pub struct Section {
    /// With the unit of all cells that are not ratios.
    pub title: &'static str,
    /// What stands above each cell.
    pub columns: Vec<&'static str>,
    /// The lines.
    pub rows: Vec<Row>,
    /// What is to be reached in it.
    pub targets: Vec<Target>,
}

/// One line of a table, a cell for each column.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is about.
    pub name: String,
    /// Its figures.
    pub cells: Vec<Spread>,
}

/// What is to be reached.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is about.
    pub name: String,
    /// Which figures are good.
    pub bound: Bound,
    /// The figure.
    pub found: f64,
}

/// Which figures are good.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// This one and all above.
    AtLeast(f64),
    /// This one and all below.
    AtMost(f64),
    /// All below this one.
    Below(f64),
}

impl Target {
    /// Tells whether the figure is a good one.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.found >= least,
            Bound::AtMost(most) => self.found <= most,
            Bound::Below(end) => self.found < end,
        }
    }
}

/// Gives the figures of a run.
#[must_use]
pub fn json(machine: &Machine, sections: &[Section]) -> Value {
    json!({ "machine": machine.json(), "sections": sections.iter().map(Section::json).collect::<Vec<_>>() })
}

impl Section {
    fn json(&self) -> Value {
        let cell = |(column, spread): (&&str, &Spread)| json!({ "column": column, "median": spread.median, "min": spread.min, "max": spread.max });
        let row = |row: &Row| json!({ "name": row.name, "cells": self.columns.iter().zip(&row.cells).map(cell).collect::<Vec<_>>() });
        let target = |target: &Target| {
            let (kind, bound) = match target.bound {
                Bound::AtLeast(least) => ("at_least", least),
                Bound::AtMost(most) => ("at_most", most),
                Bound::Below(end) => ("below", end),
            };
            json!({ "name": target.name, kind: bound, "found": target.found, "reached": target.is_reached() })
        };
        json!({
            "title": self.title,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "targets": self.targets.iter().map(target).collect::<Vec<_>>(),
        })
    }
}

/// A Markdown table, with the targets below it.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n", self.title)?;
        let names = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        write!(f, "| {:names$} |", "")?;
        let widths: Vec<usize> = self.columns.iter().map(|column| column.chars().count().max(20)).collect();
        for (column, width) in self.columns.iter().zip(&widths) {
            write!(f, " {column:<width$} |")?;
        }
        write!(f, "\n|{:-<1$}|", "", names + 2)?;
        for width in &widths {
            write!(f, "{:-<1$}|", "", width + 2)?;
        }
        for row in &self.rows {
            write!(f, "\n| {:names$} |", row.name)?;
            for (cell, width) in row.cells.iter().zip(&widths) {
                write!(f, " {:<width$} |", shown(cell))?;
            }
        }
        writeln!(f, "\n")?;
        for target in &self.targets {
            writeln!(f, "- {target}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = if self.is_reached() { "reached" } else { "NOT REACHED" };
        let (bound, figure) = match self.bound {
            Bound::AtLeast(least) => ("at least", least),
            Bound::AtMost(most) => ("at most", most),
            Bound::Below(end) => ("below", end),
        };
        write!(f, "{}: {bound} {figure}, found {}: {reached}", self.name, rounded(self.found))
    }
}

fn shown(spread: &Spread) -> String {
    format!("{} [{}, {}]", rounded(spread.median), rounded(spread.min), rounded(spread.max))
}

/// Shows three digits, or all before the point.
fn rounded(figure: f64) -> String {
    let decimals = match figure.abs() {
        ..1.0 => 3,
        1.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{figure:.decimals$}")
}
