//! The cryptography of Sordino. Sans-I/O.
