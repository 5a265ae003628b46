//! An in-process EVM development chain behind the ordinary provider interface.
