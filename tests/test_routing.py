"""swin_edu/rivals/routing.py against plain loops, exact attention and what another library computed."""

import math
from fractions import Fraction

import peers_rivals
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from swin_edu.attention import attend
from swin_edu.book.device import device
from swin_edu.rivals.routing import DECAY, Routing, give_back, members, moved, on_sphere, take

DEVICE = device()


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def routing(*arguments, seed=0):
    torch.manual_seed(seed)
    return Routing(*arguments).double().eval()


def on_sphere_by_hand(x):
    """One vector, as a list."""
    mean = sum(x) / len(x)
    length = math.sqrt(sum((value - mean) ** 2 for value in x))
    return [(value - mean) / length for value in x]


def nearness(x, centroid):
    return sum(a * b for a, b in zip(on_sphere_by_hand(x), centroid, strict=True))


def members_by_hand(x, centroids, size):
    """The places of the nearest tokens of each cluster, for tokens `(N, D)` of one head."""
    return [
        sorted(range(len(x)), key=lambda place: -nearness(x[place].tolist(), centroid.tolist()))[:size]
        for centroid in centroids
    ]


def attend_by_hand(q, k, v, centroids):
    """Cluster by cluster, query by query; the mean over a query's clusters; for one head."""
    count, channels = q.shape
    size = math.ceil(Fraction(count, len(centroids)))
    found = [[] for _ in range(count)]
    of_queries, of_keys = (members_by_hand(x, centroids, size) for x in (q, k))
    for asking, asked in zip(of_queries, of_keys, strict=True):
        for place in asking:
            weights = [math.exp(q[place] @ k[other] / math.sqrt(channels)) for other in asked]
            total = sum(w * v[other] for w, other in zip(weights, asked, strict=True))
            found[place].append(total / sum(weights))
    nothing = torch.zeros(channels, dtype=torch.double)
    return torch.stack([sum(each) / len(each) if each else nothing for each in found]), found


@given(
    channels=st.integers(2, 6), scale=st.floats(0.1, 100), offset=st.floats(-5, 5), seed=st.integers(0, 99)
)
def test_vectors_are_centred_and_brought_to_length_one(channels, scale, offset, seed):
    x = tokens(1, 1, 3, channels, seed=seed)
    result = on_sphere(x)
    assert torch.allclose(result.mean(-1), torch.zeros(3, dtype=torch.double), atol=1e-12)
    assert torch.allclose(result.norm(dim=-1), torch.ones(3, dtype=torch.double))
    assert torch.allclose(result, on_sphere(scale * x + offset), atol=1e-9)
    assert result[0, 0, 1].tolist() == pytest.approx(on_sphere_by_hand(x[0, 0, 1].tolist()))


def test_a_vector_of_equal_numbers_has_no_direction():
    assert not on_sphere(torch.full((1, 1, 1, 4), 3.0)).any()


@settings(max_examples=20)
@given(
    count=st.integers(1, 9), clusters=st.integers(1, 4), channels=st.integers(3, 5), seed=st.integers(0, 99)
)
def test_members_are_the_nearest(count, clusters, channels, seed):
    x = tokens(2, 2, count, channels, seed=seed)
    centroids = on_sphere(tokens(1, 2, clusters, channels, seed=seed + 1))[0]
    for size in {1, (count + 1) // 2, count}:
        places = members(x, centroids, size)
        assert places.shape == (2, 2, clusters, size)
        for b in range(2):
            for head in range(2):
                expected = members_by_hand(x[b, head], centroids[head], size)
                assert [set(row) for row in places[b, head].tolist()] == [set(row) for row in expected]


def test_tokens_are_taken_from_their_places():
    x, places = tokens(2, 3, 7, 4), torch.randint(0, 7, (2, 3, 5, 2), generator=torch.Generator())
    taken = take(x, places)
    assert taken.shape == (2, 3, 5, 2, 4)
    for b in range(2):
        for h in range(3):
            for c in range(5):
                for n in range(2):
                    assert torch.equal(taken[b, h, c, n], x[b, h, places[b, h, c, n]])


def test_what_is_found_is_given_back_as_a_mean():
    places = torch.tensor([[[[0, 3], [3, 1], [3, 0]]], [[[4, 4], [1, 2], [1, 0]]]])  # 4 twice in one cluster
    found = tokens(2, 1, 3, 2, 2)
    result = give_back(found, places, 5)
    assert result.shape == (2, 1, 5, 2)
    for b in range(2):
        for token in range(5):
            own = [found[b, 0, c, n] for c in range(3) for n in range(2) if places[b, 0, c, n] == token]
            if own:
                assert torch.allclose(result[b, 0, token], sum(own) / len(own))
            else:
                assert torch.equal(result[b, 0, token], torch.zeros(2, dtype=torch.double))


@settings(max_examples=20)
@given(count=st.integers(1, 9), clusters=st.integers(1, 5), seed=st.integers(0, 99))
def test_attention_inside_clusters(count, clusters, seed):
    layer = routing(2, 3, clusters, seed=seed)
    q, k, v = tokens(3, 2, 2, count, 3, seed=seed)
    result = layer(q, k, v)
    assert result.shape == v.shape and result.dtype == torch.double
    for b in range(2):
        for head in range(2):
            expected, _ = attend_by_hand(q[b, head], k[b, head], v[b, head], layer.centroids[head])
            assert torch.allclose(result[b, head], expected, rtol=1e-9, atol=1e-9)


def test_tokens_in_no_cluster_get_nothing_and_tokens_in_several_the_mean():
    layer = routing(1, 3, 4)
    q, k, v = tokens(3, 1, 1, 24, 3)
    expected, found = attend_by_hand(q[0, 0], k[0, 0], v[0, 0], layer.centroids[0])
    counts = torch.tensor([len(each) for each in found])
    assert (counts == 0).any() and (counts > 1).any() and counts.sum() == 24
    result = layer(q, k, v)[0, 0]
    assert torch.equal(result[counts == 0], torch.zeros_like(result[counts == 0]))
    assert (result[counts > 0].abs().amax(1) > 0).all()
    assert torch.allclose(result, expected)


@pytest.mark.parametrize("count", [1, 7, 12])
def test_exact_when_one_cluster_holds_all(count):
    q, k, v = tokens(3, 2, 3, count, 4)
    assert torch.allclose(routing(3, 4, 1)(q, k, v), attend(q, k, v), atol=1e-12)


def test_clusters_far_apart_are_attended_to_on_their_own():
    """Tokens near three directions: each attends to those of its own, and to all of them."""
    directions = on_sphere(tokens(1, 1, 3, 8))[0]
    own = torch.arange(12) % 3
    x = (5 * directions[0][own] + 0.1 * tokens(12, 8, seed=1))[None, None]
    layer = routing(1, 8, 3)
    layer.centroids.copy_(directions)
    mask = own[:, None] == own
    v = tokens(1, 1, 12, 8, seed=2)
    assert torch.allclose(layer(x, x, v), attend(x, x, v, mask=mask), atol=1e-12)


def test_more_clusters_than_tokens():
    layer = routing(1, 3, 9)
    result = layer(*tokens(3, 1, 1, 4, 3))
    assert result.shape == (1, 1, 4, 3) and result.isfinite().all()


# Centroids


def moved_by_hand(centroids, x, decay):
    """For one head: centroids `(K, D)`, tokens `(N, D)`."""
    gathered = [[] for _ in centroids]
    for token in x.tolist():
        nearest = max(range(len(centroids)), key=lambda c: nearness(token, centroids[c].tolist()))
        gathered[nearest].append(on_sphere_by_hand(token))
    result = []
    for centroid, own in zip(centroids.tolist(), gathered, strict=True):
        if own:
            mean = [sum(values) / len(own) for values in zip(*own, strict=True)]
            centroid = [decay * a + (1 - decay) * b for a, b in zip(centroid, mean, strict=True)]
            length = math.sqrt(sum(value**2 for value in centroid))
            centroid = [value / length for value in centroid]
        result.append(centroid)
    return torch.tensor(result, dtype=torch.double), [bool(own) for own in gathered]


@settings(max_examples=20)
@given(
    count=st.integers(1, 8),
    clusters=st.integers(1, 5),
    decay=st.sampled_from([0.0, 0.5, 0.999]),
    seed=st.integers(0, 99),
)
def test_centroids_follow_the_tokens_nearest_to_them(count, clusters, decay, seed):
    centroids, x = on_sphere(tokens(1, 2, clusters, 4, seed=seed))[0], tokens(3, 2, count, 4, seed=seed + 1)
    before = centroids.clone()
    result = moved(centroids, x, decay)
    assert torch.equal(centroids, before) and result.shape == centroids.shape
    assert torch.allclose(result.norm(dim=-1), torch.ones(2, clusters, dtype=torch.double))
    for head in range(2):
        expected, touched = moved_by_hand(centroids[head], x[:, head].flatten(0, 1), decay)
        assert torch.allclose(result[head], expected, atol=1e-12)
        stayed = ~torch.tensor(touched)
        assert torch.equal(result[head][stayed], centroids[head][stayed])


def test_centroids_are_found_where_tokens_are():
    """Over many steps they come to the means of well separated groups."""
    directions = on_sphere(tokens(1, 1, 2, 6))[0]
    x = 3 * directions[0][torch.arange(40) % 2] + 0.1 * tokens(40, 6, seed=1)
    centroids = on_sphere(directions + 0.5 * tokens(1, 2, 6, seed=2))
    assert ((centroids * directions).sum(-1) < 0.99).all()
    for _ in range(50):
        centroids = moved(centroids, x[None, None], 0.9)
    assert ((centroids * directions).sum(-1) > 0.999).all()


def test_centroids_move_in_training_alone_and_without_gradient():
    layer = routing(2, 4, 3)
    before = layer.centroids.clone()
    q, k, v = (x.requires_grad_() for x in tokens(3, 2, 2, 9, 4))
    layer(q, k, v)
    assert torch.equal(layer.centroids, before)
    result = layer.train()(q, k, v)
    expected = moved(before, torch.cat([q, k], dim=2).detach(), DECAY)
    assert torch.equal(layer.centroids, expected) and not torch.equal(expected, before)
    assert not layer.centroids.requires_grad and not list(layer.parameters())
    assert torch.equal(layer.eval()(q, k, v), result)  # the step attends with the centroids it has moved
    result.square().sum().backward()
    assert all(x.grad.isfinite().all() and x.grad.any() for x in (q, k, v))
    assert DECAY == 0.999


def test_two_steps_before_one_backward_pass():
    layer = routing(2, 4, 3).train()
    q, k, v = (x.requires_grad_() for x in tokens(3, 2, 2, 9, 4))
    (layer(q, k, v) + layer(q + 1, k, v)).sum().backward()
    assert q.grad.isfinite().all()


def test_gradients():
    """Small changes leave the clusters as they are; inside them attention is smooth."""
    layer = routing(2, 3, 3)
    assert torch.autograd.gradcheck(layer, tuple(x.requires_grad_() for x in tokens(3, 1, 2, 6, 3)))


def test_centroids_start_on_the_sphere_and_are_stored():
    layer, other = routing(3, 5, 4), routing(3, 5, 4, seed=1)
    assert layer.centroids.shape == (3, 4, 5)
    assert torch.allclose(layer.centroids, on_sphere(layer.centroids[None])[0], atol=1e-6)
    other.load_state_dict(layer.state_dict())
    q, k, v = tokens(3, 2, 3, 9, 5)
    assert torch.equal(layer(q, k, v), other(q, k, v))
    assert set(layer.state_dict()) == {"centroids"}


def test_on_the_device_in_training():
    torch.manual_seed(0)
    layer = Routing(2, 8, 4).to(DEVICE)
    q, k, v = torch.randn(3, 2, 2, 19, 8)
    result = layer(*(x.to(DEVICE) for x in (q, k, v)))
    again = Routing(2, 8, 4).eval()
    again.centroids.copy_(layer.centroids)
    assert torch.allclose(result.cpu(), again(q, k, v), atol=1e-5)


def test_equals_what_routing_transformer_computed():
    """Written by peers.py with the library's own code, from the same centroids and centred q and k."""
    stored = load_file(peers_rivals.REFERENCES / "routing.safetensors")
    layer = peers_rivals.attentions(*peers_rivals.SMALL)["routing"].eval()
    layer.load_state_dict({key[8:]: value for key, value in stored.items() if key.startswith("weights.")})
    result = layer.to(DEVICE)(*(stored[part].to(DEVICE) for part in "qkv")).cpu()
    theirs = stored["theirs"]
    assert (theirs == 0).all(-1).any() and theirs.any(-1).any()
    assert torch.equal(result == 0, theirs == 0)
    assert (result - theirs).abs().max() < 1e-5
