//! Tests of the heap bitmap, with words of 4 and of 8 bytes whatever the host's are.

mod bed;
mod cursor;
mod faults;
mod long;
mod maps;
mod oracle;
mod scan;
mod write;

use crate::bits::seed::Sound;
