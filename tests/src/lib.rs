//! What crosses Sordino's crates: the load generator and the judge of the delivery contract here, end-to-end tests beside
//! them.

#[cfg(feature = "measure")]
pub mod capacity;
#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "contract")]
pub mod faults;
pub mod load;
#[cfg(any(feature = "contract", feature = "measure"))]
pub mod metrics;
#[cfg(any(feature = "contract", feature = "measure"))]
pub mod watch;
