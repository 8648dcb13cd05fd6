//! How the rows of a page are written, and where the next page begins.

use rusqlite::types::{Value, ValueRef};

use crate::columns::{Field, Kind};

/// Which end comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Smallest first; nulls before all.
    Ascending,
    /// Greatest first; nulls after all.
    Descending,
}

/// Where a page ended: the values that it is sorted by, and the key.
pub type After = Vec<Value>;

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// JSON objects, separated by commas.
    Json,
    /// Lines of RFC 4180 CSV, without the heading.
    Csv,
}

/// The heading of the CSV form.
pub fn heading_of(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
    format!("{}\r\n", names.join(","))
}

/// Calls with each field and its values: its own, and the column beside it.
fn fields<'r>(
    all: &'static [Field],
    r: &'r rusqlite::Row<'_>,
    mut each: impl FnMut(&Field, ValueRef<'r>, Option<ValueRef<'r>>),
) -> rusqlite::Result<()> {
    let mut at = 0;
    for f in all {
        let v = r.get_ref(at)?;
        at += 1;
        let mut beside = None;
        if f.kind == Kind::Origin {
            beside = Some(r.get_ref(at)?);
            at += 1;
        }
        each(f, v, beside);
    }
    Ok(())
}

/// Writes a row as a JSON object.
///
/// # Errors
/// SQLite's.
pub fn write_json(
    all: &'static [Field],
    out: &mut Vec<u8>,
    r: &rusqlite::Row<'_>,
    comma: bool,
) -> rusqlite::Result<()> {
    out.extend_from_slice(if comma { b",{" } else { b"{" });
    let mut first = true;
    fields(all, r, |f, v, beside| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(f.name.as_bytes());
        out.extend_from_slice(b"\":");
        f.kind.write_json(out, v, beside);
    })?;
    out.push(b'}');
    Ok(())
}

/// Writes a row as a line of CSV.
///
/// # Errors
/// SQLite's.
pub fn write_csv(all: &'static [Field], out: &mut Vec<u8>, r: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
    let mut first = true;
    fields(all, r, |f, v, beside| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        let mut cell = f.kind.csv(v, beside);
        // A spreadsheet would run text that begins so as a formula.
        if f.kind.is_free_text() && cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            cell.insert(0, '\'');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            cell = format!("\"{}\"", cell.replace('"', "\"\""));
        }
        out.extend_from_slice(cell.as_bytes());
    })?;
    out.extend_from_slice(b"\r\n");
    Ok(())
}
