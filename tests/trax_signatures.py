"""Constructors of Trax 1.4.1 that layerkit has as well, with their arguments and defaults: one a line."""

from __future__ import annotations

__all__ = ["LAYERS", "MODELS", "OPTIMIZERS"]

LAYERS = """
Accelerate(layer, n_devices=None)
Accuracy(classifier=ArgMax())
Add()
ArgMax(axis=-1)
AssertFunction(specification, layer, message=None)
AssertShape(spec, message=None, visible_layer=False)
Attention(d_feature, n_heads=1, dropout=0.0, mode="train")
AttentionQKV(d_feature, n_heads=1, dropout=0.0, mode="train", cache_KV_in_predict=False, q_sparsity=None,
    result_sparsity=None)
AvgPool(pool_size=(2, 2), strides=None, padding="VALID")
AxialPositionalEncoding(shape=(64, 64, 3), d_embs=(384, 384, 256), kernel_initializer=RandomNormalInitializer(1.0),
    dropout=0.0, dropout_broadcast_dims=(), mode="train")
BatchLeadingAxes(layer, n_last_axes_to_keep=1)
BatchNorm(axis=(0, 1, 2), epsilon=1e-05, center=True, scale=True, momentum=0.999, mode="train")
Bidirectional(forward_layer, axis=1, merge_layer=Concatenate())
BinaryCrossEntropy()
BinaryCrossEntropyLoss()
BinaryCrossEntropySum()
BlockSparseFF(d_ff, n_experts=64, temperature=0.7, mode="train", kernel_initializer=GlorotUniformInitializer(),
    bias_initializer=RandomNormalInitializer(1e-06))
Branch(*layers, name="Branch")
Cache(layer)
CategoryAccuracy()
CategoryCrossEntropy(label_smoothing=None)
CausalAttention(d_feature, n_heads=1, dropout=0.0, max_inference_length=2048, use_dconv=False, mode="train")
CausalConv(filters, kernel_width=3, kernel_initializer=None, bias_initializer=RandomNormalInitializer(1e-06),
    use_bias=True)
CausalDepthwiseConv(kernel_size=3, kernel_initializer=GlorotUniformInitializer(), use_bfloat16=False)
CausalFavor(d_feature, n_heads=1, dropout=0.0, numerical_stabilizer=0.001, mode="train")
CausalFavorAttention(numerical_stabilizer=0.001, mode="train")
Chunk(layer, chunk_size, pass_unchunkable=True)
Concatenate(n_items=2, axis=-1)
Cond(cond, true, false=None, name=None)
ConfigurableAttention(q_layer, k_layer, v_layer, final_layer, qkv_attention_layer, n_heads=1)
Conv(filters, kernel_size, strides=None, padding="VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"),
    kernel_initializer=None, bias_initializer=RandomNormalInitializer(1e-06), use_bias=True)
Conv1d(filters, kernel_size, stride=1, padding="VALID", kernel_initializer=None,
    bias_initializer=RandomNormalInitializer(1e-06), use_bias=True)
ConvGRUCell(n_units, kernel_size=(3, 3))
ConvTranspose(filters, kernel_size, strides=None, padding="VALID", rhs_dilation=None, dimension_numbers=("NHWC",
    "HWIO", "NHWC"), kernel_initialzer=None, bias_initializer=RandomNormalInitializer(1e-06))
CrossEntropyLoss()
CrossEntropyLossWithLogSoftmax()
CrossEntropySum()
Dense(n_units, kernel_initializer=GlorotUniformInitializer(), bias_initializer=RandomNormalInitializer(1e-06),
    use_bias=True, use_bfloat16=False)
DotProductAttention(dropout=0.0, mode="train")
DotProductCausalAttention(dropout=0.0, max_inference_length=2048, mode="train")
Drop()
Dropout(rate=0.0, shared_axes=None, mode="train")
Dup()
EinsumDense(d_input, d_output, use_bias)
Elu(a=1.0)
Embedding(vocab_size, d_feature, use_bfloat16=False, kernel_initializer=ScaledInitializer(out_dim=-1, in_dim=-2,
    scale=1.0, mode="fan_out", distribution="uniform"))
EncDecAttention(n_heads=2, d_qk=64, d_v=64, masked=True, mode="train", attention_dropout=0.0, output_dropout=0.0,
    n_parallel_heads=None, use_python_loop=False, use_reference_code=False)
EncoderDecoderMask()
Exp()
FactoredDense(n_modules, d_in, d_out, use_bias=True, use_bfloat16=False)
FastGelu()
Favor(d_feature, n_heads=1, n_random_features=256, dropout=0.0, numerical_stabilizer=0.001,
    use_approximate_softmax=False, scale_by_norm=0, normalize_data=False, epsilon=0.0001, mode="train")
FavorAttention(d_feature=4, n_heads=1, n_random_features=256, numerical_stabilizer=0.001,
    use_approximate_softmax=False, scale_by_norm=True, normalize_data=False, epsilon=0.0001, mode="train")
FilterResponseNorm(mode=None, learn_epsilon=False, init_epsilon=1e-06, init_learnt_epsilon=0.0001)
Flatten(n_axes_to_keep=1)
FlattenList()
Fn(name, f, n_out=1)
GRU(n_units, mode="train")
GRUCell(n_units, forget_bias=0.0, kernel_initializer=RandomUniformInitializer(0.01),
    bias_initializer=RandomNormalInitializer(1e-06))
Gate()
Gelu()
GeneralGRUCell(candidate_transform, memory_transform_fn=None, gate_nonlinearity=Sigmoid,
    candidate_nonlinearity=Tanh, dropout_rate_c=0.1, sigmoid_bias=0.5)
GlorotNormalInitializer(out_dim=-1, in_dim=-2, scale=1.0)
GlorotUniformInitializer(out_dim=-1, in_dim=-2, scale=1.0)
Glu()
HardSigmoid()
HardTanh()
InitializerFromFile(path)
KaimingNormalInitializer(out_dim=-1, in_dim=-2, param=0.0)
KaimingUniformInitializer(out_dim=-1, in_dim=-2, param=0.0)
L2Loss()
LSHSelfAttention(n_heads=2, d_qk=64, d_v=64, share_qk="unused", causal=False, masked=False, chunk_len=128,
    n_chunks_before=1, n_chunks_after=0, n_hashes=1, n_buckets=None, mode="train", predict_mem_len=2048,
    predict_drop_len=256, attention_dropout=0.0, output_dropout=0.0, max_length_for_buckets=None, bias=False,
    n_parallel_heads=1, use_python_loop=False, use_reference_code=False)
LSTM(n_units, mode="train", return_state=False, initial_state=False)
LSTMCell(n_units, forget_bias=1.0, kernel_initializer=GlorotUniformInitializer(),
    bias_initializer=RandomNormalInitializer(1e-06))
LayerNorm(center=True, epsilon=1e-06)
LeCunNormalInitializer(out_dim=-1, in_dim=-2, scale=1.0)
LeCunUniformInitializer(out_dim=-1, in_dim=-2, scale=1.0)
LeakyRelu(a=0.01)
LocallyConnected1d(filters, kernel_size, kernel_initializer=GlorotUniformInitializer(),
    bias_initializer=RandomNormalInitializer(1e-06), use_bias=True, padding="VALID")
LocallyConnectedDense(n_modules, n_units, kernel_size=1, kernel_initializer=GlorotUniformInitializer(),
    bias_initializer=RandomNormalInitializer(1e-06), use_bias=True)
Log()
LogSoftmax(axis=-1)
LogSumExp(axis=-1)
LowRankCausalAttention(d_feature, n_heads=1, dropout=0.0, max_inference_length=2048, lowrank=64, mode="train")
LowRankDense(n_units, d_lowrank)
MacroAveragedFScore(beta=1.0, initial_category_index=0)
MakeZeroState(depth_multiplier=1)
MaskedSequenceAccuracy()
Max(axis=-1, keepdims=False)
MaxPool(pool_size=(2, 2), strides=None, padding="VALID")
Mean(axis=-1, keepdims=False)
MergeHeads(n_heads, merged_batch_and_head=True)
MergeLastTwoAxes()
Min(axis=-1, keepdims=False)
ModularCausalAttention(d_feature, n_heads=1, sparsity=None, dropout=0.0, max_inference_length=2048, kernel_size=1,
    mode="train")
MultiplicativeCausalAttention(d_feature, n_heads=1, sparsity=None, dropout=0.0, max_inference_length=2048,
    mode="train")
MultiplicativeModularCausalAttention(d_feature, n_heads=1, sparsity=None, dropout=0.0, max_inference_length=2048,
    mode="train")
MultiplicativeModularSparseDense(sparsity, d_feature)
Multiply()
Negate()
OrthogonalInitializer(stddev=1.0)
PaddingMask(pad=0)
Parallel(*sublayers, name=None)
ParametricRelu(a=1.0)
PositionalEncoding(max_len=2048, dropout=0.0, dropout_broadcast_dims=(-2,), use_bfloat16=False,
    start_from_zero_prob=1.0, max_offset_to_add=0, d_feature=None, mode="train")
PrintShape(n_in=1, msg="")
PureAttention(n_heads=1, dropout=0.0, mode="train")
PureLayer(forward_fn, n_in=1, n_out=1, name="PureLayer")
RandomLayer(layer_a, layer_b, prob_a)
RandomNormalInitializer(stddev=0.01)
RandomUniform(min_val=0.0, max_val=1.0, shape=(), dtype=float32, sync=False)
RandomUniformInitializer(lim=1.0)
RelativeAttentionLMLayer(d_feature, context_bias_layer, location_bias_layer, total_kv_pooling, separate_cls=False,
    n_heads=1, dropout=0.0, mode="train")
RelativeAttentionLayer(d_feature, context_bias_layer, location_bias_layer, total_kv_pooling, separate_cls,
    n_heads=1, dropout=0.0, mode="train")
RelativeAttentionWrapper(d_feature, n_heads=1, dropout=0.0, max_inference_length=2048, mode="train",
    context_bias_layer=None, location_bias_layer=None, total_pooling=None)
Relu()
Residual(*layers, shortcut=None)
ReversibleConcatenatePair()
ReversibleHalfResidual(*residual_layers, attention_layer=None, name=None)
ReversibleLayer()
ReversibleReshape(shape1, shape2, n_in=1)
ReversibleSelect(indices, n_in=None, name=None)
ReversibleSerial(*layers)
ReversibleSwap()
Rotate()
SRU(n_units, activation=None, mode="train")
ScaledInitializer(out_dim, in_dim, scale, mode, distribution)
Scan(layer, axis=0, n_carry=1, remat=False, mode="train")
Select(indices, n_in=None, name=None)
SelfAttention(n_heads=2, d_qk=64, d_v=64, share_qk=False, causal=False, masked=False, chunk_len=None,
    n_chunks_before=0, n_chunks_after=0, bias=False, mode="train", predict_mem_len=None, predict_drop_len=None,
    attention_dropout=0.0, output_dropout=0.0, n_parallel_heads=None, use_python_loop=False,
    use_reference_code=False)
Selu(alpha=1.6732632423543772, lmbda=1.0507009873554805)
SequenceAccuracy(classifier=ArgMax())
Serial(*sublayers, name=None, sublayers_to_print=None)
SerialWithSideOutputs(layers, n_side_outputs=1)
ShiftRight(n_positions=1, mode="train")
Sigmoid()
SinCosPositionalEncoding(add_offset=2048, dropout=0.0, dropout_broadcast_dims=(-2,), start_from_zero_one_in=2,
    mode="train")
SmoothL1Loss()
Softmax(axis=-1)
Softplus()
SparseDenseWithOptions(n_units, d_input=None, sparsity_type=None, sparsity=0, d_lowrank=None, prob_sparse=None,
    mode=None, use_bias=True, use_bfloat16=False)
SparseFF(d_ff, n_elements_in_block=32, d_lowrank=64, temperature=0.1, quant_prob=0.3, use_bfloat16=False,
    big_weights_in_bfloat16=False, mode="train", kernel_initializer=GlorotUniformInitializer(),
    bias_initializer=RandomNormalInitializer(1e-06), dropout_rate=0.0, dropout_shared_axes=None, ff_chunk_size=0,
    multiply_by_controller_output=False, kernel_scaling=False)
Split(n_items=2, axis=-1)
SplitIntoHeads(n_heads, merged_batch_and_head=True)
SplitLastAxis(num_splits)
StopGradient()
SubtractTop()
Sum(axis=None, keepdims=False)
SumPool(pool_size=(2, 2), strides=None, padding="VALID")
SummaryImage(name, n_in, num_summaries=5, recover_fn=None)
SummaryScalar(name, aggregation_fun=mean)
Swap()
Swish()
SwitchSparseFF(d_ff, n_experts=64, temperature=0.1, mode="train", kernel_initializer=GlorotUniformInitializer(),
    bias_initializer=RandomNormalInitializer(1e-06))
Tanh()
ThresholdToBinary(threshold=0.5)
ThresholdedLinearUnit()
ToFloat()
WeightedCategoryAccuracy()
WeightedCategoryCrossEntropy(label_smoothing=None, cutoff=0.0)
WeightedFScore(beta=1.0, initial_category_index=0)
WeightedSum()
Weights(initializer, shape=(), use_bfloat16=False)
assert_shape(specification)
inputs_from_stack(stack, n)
log_gaussian_diag_pdf(x, mu, diag_sigma)
log_gaussian_pdf(x, mu, sigma)
log_softmax(x, axis=-1)
logsoftmax_sample(log_probs, temperature=1.0)
multigaussian_loss(preds, targets, ngauss=1)
one_hot(x, n_categories, dtype=float32)
outputs_onto_stack(outputs, stack, n)
"""

MODELS = """
BERT(d_model=768, vocab_size=30522, max_len=512, type_vocab_size=2, n_heads=12, d_ff=3072, n_layers=12, head=None,
    init_checkpoint=None, mode="eval")
BERTClassifierHead(n_classes)
BERTMLMHead(vocab_size=30522)
BERTPretrainingHead(n_classes)
BERTPretrainingLoss()
BERTRegressionHead()
GRULM(vocab_size=256, d_model=512, n_layers=1, mode="train")
LSTMSeq2SeqAttn(input_vocab_size=256, target_vocab_size=256, d_model=512, n_encoder_layers=2, n_decoder_layers=2,
    n_attention_heads=1, attention_dropout=0.0, mode="train")
MLP(layer_widths=(128, 64), activation_fn=Relu, out_activation=False, flatten=True, mode="train")
NeuralGPU(d_feature=96, steps=16, vocab_size=2, mode="train")
RNNLM(vocab_size, d_model=512, n_layers=2, rnn_cell=LSTMCell, rnn_cell_d_state_multiplier=2, dropout=0.1,
    mode="train")
ReZeroTransformer(input_vocab_size, output_vocab_size=None, d_model=512, d_ff=2048, n_encoder_layers=6,
    n_decoder_layers=6, n_heads=8, dropout=0.1, dropout_shared_axes=None, max_len=2048, mode="train",
    ff_activation=Relu)
ReZeroTransformerDecoder(vocab_size=None, d_model=512, d_ff=2048, n_layers=6, n_heads=8, dropout=0.1,
    dropout_shared_axes=None, max_len=2048, mode="train", ff_activation=Relu)
ReZeroTransformerEncoder(vocab_size, n_classes=10, d_model=512, d_ff=2048, n_layers=6, n_heads=8, dropout=0.1,
    dropout_shared_axes=None, max_len=2048, mode="train", ff_activation=Relu)
ReZeroTransformerLM(vocab_size, d_model=512, d_ff=2048, n_layers=6, n_heads=8, dropout=0.1,
    dropout_shared_axes=None, max_len=2048, mode="train", ff_activation=Relu)
Reformer(input_vocab_size, output_vocab_size=None, d_model=512, d_ff=2048, n_encoder_layers=6, n_decoder_layers=6,
    n_heads=8, dropout=0.1, max_len=2048, ff_activation=Relu, ff_dropout=None, mode="train", pos_type=None,
    pos_axial_shape=None, pos_d_axial_embs=None, ff_use_sru=0, ff_chunk_size=0, ff_sparsity=0)
ReformerLM(vocab_size, d_model=512, d_ff=2048, d_attention_key=64, d_attention_value=64, n_layers=6, n_heads=8,
    dropout=0.1, max_len=2048, attention_type=SelfAttention, pos_type=None, pos_axial_shape=(),
    pos_d_axial_embs=None, pos_start_from_zero_prob=1.0, pos_max_offset_to_add=0, ff_activation=FastGelu,
    ff_use_sru=0, ff_chunk_size=0, ff_sparsity=0, loss_sparsity_type="mult", loss_sparsity=0, loss_d_lowrank=0,
    loss_sparsity_prob=None, attention_chunk_size=0, mode="train")
Resnet50(d_hidden=64, n_output_classes=1001, mode="train", norm=BatchNorm, non_linearity=Relu)
Transformer(input_vocab_size, output_vocab_size=None, d_model=512, d_ff=2048, n_encoder_layers=6,
    n_decoder_layers=6, n_heads=8, max_len=2048, dropout=0.1, dropout_shared_axes=None, mode="train",
    ff_activation=Relu)
TransformerDecoder(vocab_size=None, d_model=512, d_ff=2048, n_layers=6, n_heads=8, max_len=2048, dropout=0.1,
    dropout_shared_axes=None, mode="train", ff_activation=Relu)
TransformerEncoder(vocab_size, n_classes=10, d_model=512, d_ff=2048, n_layers=6, n_heads=8, max_len=2048,
    dropout=0.1, dropout_shared_axes=None, mode="train", ff_activation=Relu)
TransformerLM(vocab_size, d_model=512, d_ff=2048, n_layers=6, n_heads=8, max_len=2048, dropout=0.1,
    dropout_shared_axes=None, mode="train", ff_activation=Relu)
WideResnet(n_blocks=3, widen_factor=1, n_output_classes=10, bn_momentum=0.9, mode="train")
"""

OPTIMIZERS = """
Adam(learning_rate=0.0001, weight_decay_rate=1e-5, b1=0.9, b2=0.999, eps=1e-5, clip_grad_norm=None)
Momentum(learning_rate=0.01, mass=0.9, weight_decay_rate=1e-5, nesterov=True)
RMSProp(learning_rate=0.001, gamma=0.9, eps=1e-8, clip_grad_norm=None)
SGD(learning_rate=0.01, clip_grad_norm=None)
"""
