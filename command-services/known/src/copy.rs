//! What decisions read. One connection, used by the one thread that decides.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use mw_after_service::known::{Known, Machine, Order, Unit, UnitWarranty};
use mw_contract::reference::{Availability, Document};
use mw_contract::{
    AccountName, AggregateId, Code, Date, Instant, Number, OrderType, ReferenceKind, Text, UnitStatus, WarrantyBasis,
    WorkOrderState,
};
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::documents::{Change, Documents};
use crate::{KnownError, Store};

/// The copy, open for reading.
pub struct ProductionCopy {
    conn: Mutex<Connection>,
    documents: RwLock<Documents>,
    path: PathBuf,
}

impl fmt::Debug for ProductionCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProductionCopy").field("path", &self.path).finish_non_exhaustive()
    }
}

const UNIT: &str = "SELECT u.id, u.serial, u.product, u.lot, u.work_order, o.number, o.line, u.site, u.produced_at,
    u.good, u.status, u.customer, u.warranty_start, u.warranty_end, u.warranty_basis, u.warranty_void,
    u.counter_name, u.counter_limit
    FROM unit u LEFT JOIN work_order o ON o.id = u.work_order WHERE u.serial = ?1 ORDER BY u.product, u.id";

impl ProductionCopy {
    /// Reads the file that `store` writes.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open(store: &Store) -> Result<Self, KnownError> {
        let documents = RwLock::new(store.documents()?);
        Ok(ProductionCopy { conn: Mutex::new(store.reader()?), documents, path: store.path().to_owned() })
    }

    /// Takes over what happened to reference data.
    pub(crate) fn take(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.documents.write().take(changes);
        }
    }

    /// Everything was thrown away.
    pub(crate) fn forget(&self) {
        *self.documents.write() = Documents::default();
    }

    /// A file that can't be read knows nothing; the reason is in the service's log.
    fn read<T: Default>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        f(&self.conn.lock()).unwrap_or_else(|e| {
            tracing::error!(file = %self.path.display(), error = %e, "the copy of production can't be read");
            T::default()
        })
    }
}

impl Known for ProductionCopy {
    fn document(&self, kind: ReferenceKind, code: &str) -> Option<Arc<Document>> {
        self.documents.read().get(kind, code)
    }

    fn availability(&self, account: &AccountName) -> Vec<Availability> {
        self.documents.read().availability(account)
    }

    fn units(&self, serial: &Text<60>) -> Vec<Unit> {
        self.read(|conn| {
            let mut found = conn.prepare_cached(UNIT)?;
            let rows = found.query_map([serial.as_str()], unit)?.collect::<rusqlite::Result<Vec<_>>>()?;
            rows.into_iter().flatten().map(|u| whole(conn, u)).collect()
        })
    }

    fn machine(&self, id: AggregateId) -> Option<Machine> {
        self.read(|conn| {
            let found = conn
                .prepare_cached("SELECT cell, class, site, line FROM machine WHERE id = ?1")?
                .query_row([id.as_bytes()], |r| machine(r, id))
                .optional()?;
            let Some(m) = found.flatten() else { return Ok(None) };
            Ok(Some(Machine { counters: counters(conn, id)?, ..m }))
        })
    }

    fn order(&self, id: AggregateId) -> Option<Order> {
        self.read(|conn| {
            let found = conn
                .prepare_cached("SELECT number, type, state, product, site FROM work_order WHERE id = ?1")?
                .query_row([id.as_bytes()], |r| order(r, id))
                .optional()?;
            Ok(found.flatten())
        })
    }
}

/// A column whose text is a value of its type. What is not cannot have been written here.
fn parsed<T: std::str::FromStr>(r: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    Ok(r.get_ref(column)?.as_str_or_null()?.and_then(|s| s.parse().ok()))
}

fn text<const N: usize>(r: &Row<'_>, column: usize) -> rusqlite::Result<Option<Text<N>>> {
    Ok(r.get_ref(column)?.as_str_or_null()?.and_then(|s| Text::new(s).ok()))
}

fn aggregate(r: &Row<'_>, column: usize) -> rusqlite::Result<Option<AggregateId>> {
    Ok(r.get::<_, Option<[u8; 16]>>(column)?.map(|b| AggregateId(uuid::Uuid::from_bytes(b))))
}

fn machine(r: &Row<'_>, id: AggregateId) -> rusqlite::Result<Option<Machine>> {
    let (Some(code), Some(site_id)) = (parsed::<Code>(r, 0)?, parsed(r, 2)?) else { return Ok(None) };
    Ok(Some(Machine {
        equipment_id: id,
        cell_id: code.as_str().parse().ok(),
        code,
        class: parsed(r, 1)?,
        site_id,
        line_id: parsed(r, 3)?,
        counters: Vec::new(),
    }))
}

fn order(r: &Row<'_>, id: AggregateId) -> rusqlite::Result<Option<Order>> {
    let (number, product, site) = (text(r, 0)?, parsed(r, 3)?, parsed(r, 4)?);
    let (order_type, state) = (OrderType::from_number(r.get(1)?), WorkOrderState::from_number(r.get(2)?));
    Ok(number.zip(product).zip(site).zip(order_type.zip(state)).map(
        |(((number, product_id), site_id), (order_type, state))| Order {
            work_order_id: id,
            number,
            order_type,
            state,
            product_id,
            site_id,
        },
    ))
}

fn unit(r: &Row<'_>) -> rusqlite::Result<Option<Unit>> {
    let status = UnitStatus::from_number(r.get(10)?);
    let (Some(unit_id), Some(serial), Some(product_id), Some(status)) =
        (aggregate(r, 0)?, text(r, 1)?, parsed(r, 2)?, status)
    else {
        return Ok(None);
    };
    let basis = r.get::<_, Option<u8>>(14)?.and_then(WarrantyBasis::from_number);
    let counter = parsed::<Code>(r, 16)?.zip(parsed::<Number>(r, 17)?);
    let void = r.get(15)?;
    let days = parsed::<Date>(r, 12)?.zip(parsed::<Date>(r, 13)?);
    Ok(Some(Unit {
        unit_id,
        serial,
        product_id,
        lot: text(r, 3)?,
        work_order_id: aggregate(r, 4)?,
        work_order_number: text(r, 5)?,
        line_id: parsed(r, 6)?,
        site_id: parsed(r, 7)?,
        produced_at: r.get::<_, Option<i64>>(8)?.map(Instant::clamped),
        good: r.get(9)?,
        status,
        customer_id: parsed(r, 11)?,
        warranty: days.zip(basis).map(|((start, end), basis)| UnitWarranty { start, end, basis, void, counter }),
        counters: Vec::new(),
        open_recalls: Vec::new(),
        components: Vec::new(),
    }))
}

/// With what stands in other tables.
fn whole(conn: &Connection, u: Unit) -> rusqlite::Result<Unit> {
    let texts = |sql: &str| -> rusqlite::Result<Vec<Text<60>>> {
        let mut found = conn.prepare_cached(sql)?;
        let rows = found.query_map([u.unit_id.as_bytes()], |r| text(r, 0))?;
        Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
    };
    let open_recalls = texts("SELECT campaign FROM recall WHERE unit = ?1 ORDER BY campaign")?;
    let components = texts("SELECT serial FROM component WHERE unit = ?1 ORDER BY n")?;
    Ok(Unit { counters: counters(conn, u.unit_id)?, open_recalls, components, ..u })
}

fn counters(conn: &Connection, owner: AggregateId) -> rusqlite::Result<Vec<(Code, Number)>> {
    let mut found = conn.prepare_cached("SELECT name, cumulative FROM counter WHERE owner = ?1 ORDER BY name")?;
    let rows = found.query_map([owner.as_bytes()], |r| Ok(parsed(r, 0)?.zip(parsed(r, 1)?)))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}
