//! Do two files of a read model hold the same rows? What `rebuild --dry-run` reports.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// How a table differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDiff {
    /// Its name.
    pub table: String,
    /// Rows that only the first file has.
    pub only_first: u64,
    /// Rows that only the second file has.
    pub only_second: u64,
}

/// The tables whose rows differ; none when the files say the same. Both files are only read.
pub fn diff(first: &Path, second: &Path) -> rusqlite::Result<Vec<TableDiff>> {
    let conn = Connection::open_with_flags(first, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.execute("ATTACH DATABASE ?1 AS other", [second.to_string_lossy()])?;
    let names = |schema: &str| -> rusqlite::Result<Vec<String>> {
        let sql = format!(
            "SELECT name FROM {schema}.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        );
        conn.prepare(&sql)?.query_map([], |r| r.get(0))?.collect()
    };
    let mut tables = names("main")?;
    for t in names("other")? {
        if !tables.contains(&t) {
            tables.push(t);
        }
    }
    let both = (names("main")?, names("other")?);
    let mut found = Vec::new();
    for table in tables {
        let count = |sql: String| -> rusqlite::Result<u64> {
            conn.query_row(&sql, [], |r| r.get::<_, i64>(0)).map(|n| n as u64)
        };
        let quoted = table.replace('"', "\"\"");
        let (only_first, only_second) = match (both.0.contains(&table), both.1.contains(&table)) {
            (true, true) => {
                let minus = |a: &str, b: &str| {
                    count(format!(
                        "SELECT count(*) FROM (SELECT * FROM {a}.\"{quoted}\" EXCEPT SELECT * FROM {b}.\"{quoted}\")"
                    ))
                };
                (minus("main", "other")?, minus("other", "main")?)
            }
            (true, false) => (count(format!("SELECT count(*) FROM main.\"{quoted}\""))?, 0),
            (false, _) => (0, count(format!("SELECT count(*) FROM other.\"{quoted}\""))?),
        };
        if only_first + only_second > 0 {
            found.push(TableDiff { table, only_first, only_second });
        }
    }
    Ok(found)
}
