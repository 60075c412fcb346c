//! Rows as an aligned table for people, and as one object a line for programs.

use serde_json::Value;

use crate::command_error::CommandError;
use crate::output::Output;

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    headings: [&'static str; COLUMNS],
    rows: Vec<([String; COLUMNS], Value)>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(headings: &[&'static str; COLUMNS]) -> Self {
        Self { headings: *headings, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [String; COLUMNS], object: Value) {
        self.rows.push((cells, object));
    }

    /// Writes all rows.
    pub(crate) fn write(self, output: &mut Output) -> Result<(), CommandError> {
        let mut widths = self.headings.map(str::len);
        for (cells, _) in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        let line = |cells: &[&str]| {
            let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        output.heading(line(&self.headings))?;
        for (cells, object) in self.rows {
            let text = line(&cells.each_ref().map(String::as_str));
            output.line(text, || object)?;
        }
        Ok(())
    }
}
