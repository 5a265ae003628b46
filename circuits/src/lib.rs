//! R1CS of the consent statements C1 and C2.

pub mod builder;
pub mod c1;
pub mod c2;
pub mod claim;
pub mod gadgets;
pub mod operation;
pub mod record;
pub mod shapes;
