//! A Sordino relay in the process, for the tests of apps.
