//! Reading the numbers of a CTranslate2 `StorageView`, for which ct2rs has no function.
#![expect(unsafe_code, reason = "ct2rs has no reader; the self-check at load compares what this one returns")]

use std::ffi::c_void;

use ct2rs::sys::StorageView;

unsafe extern "C" {
    /// `const float* ctranslate2::StorageView::data<float>() const`, an explicit instantiation that the CTranslate2
    /// within ct2rs exports. It throws where the view does not hold floats, which must not reach Rust.
    #[link_name = "_ZNK11ctranslate211StorageView4dataIfEEPKT_v"]
    fn storage_view_data(view: *const c_void) -> *const f32;
}

/// The floats of a view in row-major order; `None` where it holds something else or is not in this memory.
pub(super) fn floats<'a>(view: &'a StorageView<'_>) -> Option<&'a [f32]> {
    let is_float_in_memory = format!("{view:?}").contains("[cpu:0 float32 storage");
    let length = usize::try_from(view.size()).ok()?;
    if !is_float_in_memory || length == 0 {
        return None;
    }
    let raw: &_ = &**view;
    // SAFETY: ct2rs's opaque type is the C++ object itself, so its address is a valid `this` for as long as `view`
    // is borrowed; the element type was checked above, so the call does not throw; `size` is its own length.
    unsafe {
        let data = storage_view_data(std::ptr::from_ref(raw).cast::<c_void>());
        (!data.is_null()).then(|| std::slice::from_raw_parts(data, length))
    }
}
