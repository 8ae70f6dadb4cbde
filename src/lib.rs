//! A heap for kernels, hypervisors, unikernels and firmware.
#![no_std]
