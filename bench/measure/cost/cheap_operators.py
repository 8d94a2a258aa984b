"""Torch operators whose cost is negligible against a matrix product: elementwise, reductions, copies, views.

Names are those of the executed ATen operators, below autograd and after decomposition. An operator that is neither
listed here nor counted (bench/measure/cost/mac_formulas.py) is reported by name, with its share of all elements.
"""

from typing import Any

import torch

# Names without leading and trailing underscores. Backward, in-place and list ("foreach") forms are matched by the
# name of their base operator.
_REDUCTIONS = (
    "sum mean amax amin aminmax argmax argmin max min any all prod var std var_mean std_mean norm nansum "
    "median nanmedian mode kthvalue logsumexp cumsum cumprod cummax cummin logcumsumexp linalg_vector_norm "
    "powsum dist trace count_nonzero equal bincount histc is_all_true is_any_true cummax_helper cummin_helper "
    "allclose"
)
_NORMALISATION = (
    "native_batch_norm native_batch_norm_legit native_batch_norm_legit_no_training "
    "native_batch_norm_legit_functional batch_norm batch_norm_with_update batch_norm_with_update_functional "
    "batch_norm_no_update cudnn_batch_norm batch_norm_stats batch_norm_elemt batch_norm_gather_stats "
    "batch_norm_gather_stats_with_counts batch_norm_update_stats batch_norm_backward_reduce "
    "batch_norm_backward_elemt native_layer_norm native_group_norm fused_rms_norm softmax log_softmax "
    "safe_softmax masked_softmax weight_norm_interface renorm"
)
_POOLING = (
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d avg_pool2d avg_pool3d "
    "max_pool2d_with_indices max_pool3d_with_indices max_pool2d max_unpool2d max_unpool3d "
    "fractional_max_pool2d fractional_max_pool3d mkldnn_max_pool2d mkldnn_adaptive_avg_pool2d "
    "mkldnn_max_pool3d"
)
_RESIZING = (
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_nearest_exact1d "
    "upsample_nearest_exact2d upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d "
    "upsample_trilinear3d upsample_bicubic2d upsample_bilinear2d_aa upsample_bicubic2d_aa "
    "upsample_lanczos2d_aa grid_sampler_2d grid_sampler_3d grid_sampler_2d_cpu_fallback cudnn_grid_sampler "
    "pixel_shuffle pixel_unshuffle channel_shuffle im2col "
    "col2im"
)
_ELEMENTWISE = (  # those without the tag "pointwise"
    "prelu_kernel glu log_sigmoid complex dropout native_dropout fused_dropout masked_scale rrelu_with_noise "
    "mish hardswish fill zero conj_physical floor_divide relu gelu elu softplus softshrink hardshrink "
    "hardsigmoid hardtanh leaky_relu threshold silu tanh sigmoid fake_quantize_per_tensor_affine_cachemask "
    "fake_quantize_per_tensor_affine_cachemask_tensor_qparams fake_quantize_per_channel_affine_cachemask "
    "fake_quantize_learnable_per_tensor_affine fake_quantize_learnable_per_channel_affine "
    "fused_moving_avg_obs_fq_helper thnn_fused_lstm_cell thnn_fused_lstm_cell_backward_impl "
    "thnn_fused_gru_cell transform_bias_rescale_qkv amp_foreach_non_finite_check_and_unscale amp_update_scale "
    "linalg_cross"
)
_LOSSES = (
    "nll_loss nll_loss2d mse_loss huber_loss smooth_l1_loss soft_margin_loss multi_margin_loss "
    "multilabel_margin_loss binary_cross_entropy binary_cross_entropy_with_logits ctc_loss cudnn_ctc_loss "
    "use_cudnn_ctc_loss"
)
_DATA_MOVEMENT = (
    "cat stack chunk_cat to_copy clone copy copy_from repeat roll flip rot90 constant_pad_nd reflection_pad1d "
    "reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d index index_put "
    "index_put_impl unsafe_index unsafe_masked_index unsafe_masked_index_put_accumulate index_select index_add "
    "index_copy index_fill index_reduce gather scatter scatter_add scatter_reduce select_scatter slice_scatter "
    "diagonal_scatter as_strided_scatter masked_fill masked_scatter masked_select nonzero nonzero_static take "
    "put embedding embedding_dense embedding_renorm embedding_bag embedding_bag_forward_only "
    "embedding_bag_dense embedding_bag_per_sample_weights select slice unfold diagonal diag_embed tril triu "
    "topk sort unique unique2 unique_dim unique_consecutive bucketize searchsorted isin unsafe_view "
    "unsafe_split unsafe_split_with_sizes reshape_alias block_diag pad_packed_sequence pack_padded_sequence "
    "segment_reduce resize resize_as resize_output set lazy_clone pin_memory local_scalar_dense coalesce "
    "coalesced indices values to_dense to_sparse to_sparse_csr to_sparse_csc to_sparse_bsr to_sparse_bsc "
    "sparse_mask sparse_sum sparse_broadcast_to convert_indices_from_coo_to_csr "
    "convert_indices_from_csr_to_coo sparse_coo_tensor_with_dims sparse_coo_tensor_with_dims_and_tensors "
    "sparse_compressed_tensor sparse_compressed_tensor_with_dims validate_compressed_sparse_indices dimI dimV "
    "nnz is_coalesced dense_dim sparse_dim is_same_size mkldnn_reorder_conv2d_weight cudnn_rnn_flatten_weight "
    "cudnn_init_dropout_state record_stream"
)
_CREATION = (
    "empty empty_like empty_strided empty_permuted new_empty new_empty_strided new_zeros new_ones new_full "
    "zeros zeros_like ones ones_like full full_like arange linspace logspace eye scalar_tensor tril_indices "
    "triu_indices efficientzerotensor lift_fresh lift rand rand_like randn randn_like randint randint_like "
    "randperm normal normal_functional uniform random bernoulli multinomial exponential log_normal geometric "
    "cauchy poisson binomial standard_gamma sample_dirichlet hann_window hamming_window blackman_window "
    "kaiser_window bartlett_window fft_fftfreq fft_rfftfreq"
)
_QUERIES = (  # queries and assertions
    "assert_async functional_assert_async assert_scalar assert_tensor_metadata linalg_check_errors "
    "fused_sdp_choice has_same_storage_numel device"
)
_OPTIMIZERS = "adam adamw sgd adagrad"  # fused kernels

_NAMES = (
    _REDUCTIONS, _NORMALISATION, _POOLING, _RESIZING, _ELEMENTWISE, _LOSSES, _DATA_MOVEMENT, _CREATION, _QUERIES,
    _OPTIMIZERS,
)  # fmt: skip
CHEAP = frozenset(name for names in _NAMES for name in names.split())

_PREFIXES = ("_foreach_", "_fused_")
_SUFFIXES = ("_backward_data", "_backward", "_forward", "_copy")


def is_view(operator: Any) -> bool:
    """Return whether the operator's result shares memory with an argument."""
    if not isinstance(operator, torch._ops.OpOverload):
        return False
    aliases = [result.alias_info for result in operator._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def is_cheap(operator: Any) -> bool:
    """Return whether the operator's work is proportional to the number of elements that it reads and writes."""
    if not isinstance(operator, torch._ops.OpOverload):  # a higher-order operator, such as a loop
        return False
    if operator.namespace == "profiler":  # markers in a trace
        return True
    if torch.Tag.pointwise in operator.tags or torch.Tag.inplace_view in operator.tags or is_view(operator):
        return True
    name = operator._overloadpacket.__name__
    forms = {name.strip("_")}
    for prefix in _PREFIXES:
        forms |= {form.removeprefix(prefix.strip("_") + "_") for form in forms}
    for suffix in _SUFFIXES:
        forms |= {form.removesuffix(suffix) for form in forms}
    return bool(forms & CHEAP) or _has_pointwise_base(forms)


def _has_pointwise_base(forms: set[str]) -> bool:
    """Return whether one of the names is that of an operator with torch's tag "pointwise"."""
    for form in forms:
        packet = getattr(torch.ops.aten, form, None)
        if packet is not None and any(
            torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads()
        ):
            return True
    return False
