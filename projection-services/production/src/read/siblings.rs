//! Units that have something in common with another one: they were made in the same lot, or have a
//! component of the same lot in them (PM-3, RM-14).

use mw_policy::Scope;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Sql, at_sites};

/// So many are shown; of a large lot the first by serial number.
const MOST: usize = 200;

/// The siblings of a unit, by what they share, and whether there are more than are shown. What the
/// scope does not hold is left out. Components that were taken out count too: they were in it.
///
/// # Errors
/// SQLite's.
pub fn siblings(conn: &Connection, scope: &Scope, unit: &[u8; 16]) -> rusqlite::Result<(Vec<Value>, bool)> {
    const SHOWN: &str = "u.id, u.serial, u.product, u.lot, u.customer, u.status, u.campaigns";
    let mut all: Vec<([u8; 16], Value)> = Vec::new();
    let of_lot = format!(
        "SELECT 'lot', me.lot, NULL, {SHOWN} FROM product_unit me
         JOIN product_unit u ON u.product = me.product AND u.lot = me.lot AND u.id <> me.id WHERE me.id = ?1"
    );
    let of_component = format!(
        "SELECT DISTINCT 'component_lot', mine.lot, mine.item, {SHOWN} FROM component mine
         JOIN component theirs ON theirs.lot = mine.lot AND theirs.item = mine.item AND theirs.unit <> mine.unit
         JOIN product_unit u ON u.id = theirs.unit WHERE mine.unit = ?1"
    );
    for text in [of_lot, of_component] {
        let mut sql = Sql::new(text);
        sql.bind(unit.to_vec());
        at_sites(&mut sql, "u.site", scope);
        sql.push(&format!(" ORDER BY u.product, u.serial LIMIT {}", MOST + 1));
        sql.each(conn, |r| {
            let text = |i: usize| r.get::<_, Option<String>>(i);
            let id: [u8; 16] = r.get(3)?;
            let recalls: Value = text(9)?.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default();
            let common = json!({"what": text(0)?, "lot": text(1)?, "item": text(2)?});
            match all.iter_mut().find(|(known, _)| *known == id) {
                Some((_, v)) => {
                    if let Some(shared) = v["shares"].as_array_mut() {
                        shared.push(common);
                    }
                }
                None => all.push((
                    id,
                    json!({
                        "unit_id": uuid::Uuid::from_bytes(id), "serial": text(4)?, "product": text(5)?,
                        "lot": text(6)?, "customer": text(7)?, "status": text(8)?, "recalls": recalls,
                        "shares": [common],
                    }),
                )),
            }
            Ok(())
        })?;
    }
    let more = all.len() > MOST;
    all.truncate(MOST);
    Ok((all.into_iter().map(|(_, v)| v).collect(), more))
}
