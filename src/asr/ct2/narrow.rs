//! One or two rows times a large int8 matrix: what the decoder asks for at every word, and what oneDNN is slow at.
//!
//! CTranslate2 multiplies through `dnnl_gemm_u8s8s32`, which copies the whole matrix into another order first. That
//! pays for many rows; for one it is two thirds of the work. oneDNN has a kernel that reads the matrix as it lies, but
//! takes it only where no offsets are to be added. So the linker sends CTranslate2's calls here (`build.rs`), narrow
//! ones go to that kernel without the offsets, and the offsets are added behind it. The numbers are the same to the bit.
#![expect(
    unsafe_code,
    reason = "stands between two C libraries; a test compares it with what it stands in for"
)]

use std::ffi::{c_char, c_int};

/// At most so many rows are worth going through the matrix once each.
const NARROW: i64 = 2;
/// And so many where the matrix is the vocabulary's, which no cache holds.
const NARROW_OF_MANY: i64 = 4;
const MANY: i64 = 16_384;
/// So much of the matrix is taken for all rows before the next: it stays in the core's cache. In bytes.
const BLOCK: i64 = 384 * 1024;

#[rustfmt::skip]
unsafe extern "C" {
    /// oneDNN's own: C = alpha * op(A - ao) * op(B - bo) + beta * C + co, row-major.
    fn __real_dnnl_gemm_u8s8s32(
        transa: c_char, transb: c_char, offsetc: c_char, m: i64, n: i64, k: i64, alpha: f32,
        a: *const u8, lda: i64, ao: u8, b: *const i8, ldb: i64, bo: i8, beta: f32,
        c: *mut i32, ldc: i64, co: *const i32,
    ) -> c_int;
}

/// What CTranslate2 calls in place of `dnnl_gemm_u8s8s32`; arguments and status are the same.
#[rustfmt::skip]
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_dnnl_gemm_u8s8s32(
    transa: c_char, transb: c_char, offsetc: c_char, m: i64, n: i64, k: i64, alpha: f32,
    a: *const u8, lda: i64, ao: u8, b: *const i8, ldb: i64, bo: i8, beta: f32,
    c: *mut i32, ldc: i64, co: *const i32,
) -> c_int {
    let is = |given: c_char, letter: u8| given == letter.cast_signed();
    let is_plain = is(transa, b'N') && is(transb, b'T') && is(offsetc, b'R')
        && (ao, bo) == (0, 0) && alpha == 1.0 && beta == 0.0 && k > 0;
    let is_narrow = m <= if n >= MANY { NARROW_OF_MANY } else { NARROW };
    if !(is_plain && is_narrow) {
        // SAFETY: the caller's own arguments.
        return unsafe { __real_dnnl_gemm_u8s8s32(
            transa, transb, offsetc, m, n, k, alpha, a, lda, ao, b, ldb, bo, beta, c, ldc, co,
        ) };
    }
    let block = if m == 1 { n } else { (BLOCK / k).max(1) };
    let mut from = 0;
    while from < n {
        let wide = block.min(n - from);
        for row in 0..m {
            // SAFETY: for these arguments the caller promises A of m rows, `lda` apart, B of n rows, `ldb` apart, both
            // of k columns; C of m rows, `ldc` apart, of n columns; and `co` of n values. Each call covers row `row` of
            // A and C and rows `from..from + wide` of B, which lie within them. C is nobody else's meanwhile.
            unsafe {
                let c = c.offset((row * ldc + from) as isize);
                let status = __real_dnnl_gemm_u8s8s32(
                    transa, transb, b'F'.cast_signed(), 1, wide, k, 1.0,
                    a.offset((row * lda) as isize), lda, 0, b.offset((from * ldb) as isize), ldb, 0, 0.0,
                    c, ldc, &0,
                );
                if status != 0 {
                    return status;
                }
                let c = std::slice::from_raw_parts_mut(c, wide as usize);
                let co = std::slice::from_raw_parts(co.offset(from as isize), wide as usize);
                c.iter_mut().zip(co).for_each(|(c, co)| *c = c.wrapping_add(*co));
            }
        }
        from += wide;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    type Product = unsafe extern "C" fn(
        c_char,
        c_char,
        c_char,
        i64,
        i64,
        i64,
        f32,
        *const u8,
        i64,
        u8,
        *const i8,
        i64,
        i8,
        f32,
        *mut i32,
        i64,
        *const i32,
    ) -> c_int;

    fn product(of: Product, m: usize, n: usize, k: usize) -> Vec<i32> {
        let mut random = 11_u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 24
        };
        let a: Vec<u8> = (0..m * k).map(|_| next() as u8).collect();
        let b: Vec<i8> = (0..n * k).map(|_| (next() as u8).cast_signed()).collect();
        let co: Vec<i32> = (0..n).map(|_| next() as i32 * -1000).collect();
        let mut c = vec![7; m * n];
        let (rows, width, wide) = (n as i64, k as i64, m as i64);
        let [no, yes, row] = [b'N', b'T', b'R'].map(u8::cast_signed);
        // SAFETY: the matrices are as large as the arguments say.
        let status = unsafe {
            of(
                no,
                yes,
                row,
                wide,
                rows,
                width,
                1.0,
                a.as_ptr(),
                width,
                0,
                b.as_ptr(),
                width,
                0,
                0.0,
                c.as_mut_ptr(),
                rows,
                co.as_ptr(),
            )
        };
        assert_eq!(status, 0);
        c
    }

    #[test]
    fn narrow_products_are_what_onednn_makes_of_them() {
        for (m, n, k) in
            [(1, 384, 384), (2, 1152, 384), (1, 384, 1536), (3, 384, 384), (4, 20_001, 384), (2, 3, 5)]
        {
            let ours = product(__wrap_dnnl_gemm_u8s8s32, m, n, k);
            assert!(ours == product(__real_dnnl_gemm_u8s8s32, m, n, k), "{m} rows, {n} x {k}");
        }
    }
}
