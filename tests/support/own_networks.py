"""A user's project: networks of kinds that edgebench has none of."""

CODE = '''
import torch
from torch import nn
from torch.nn import functional

class Kinds(nn.Module):
    """A layer of each kind that torch-pruning cuts."""
    def __init__(self, width=16, classes=10):
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, stride=2, padding=1)
        self.groups = nn.GroupNorm(4, width)
        self.grouped = nn.Conv2d(width, 2 * width, 3, padding=1, stride=2, groups=2)
        self.prelu = nn.PReLU(2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.norm = nn.BatchNorm2d(width)
        self.instance = nn.InstanceNorm2d(width, affine=True)
        self.row = nn.Conv1d(width, 2 * width, 3)
        self.mixed = nn.Linear(2 * width, 2 * width)
        self.layer = nn.LayerNorm(2 * width)
        self.head = nn.Linear(2 * width, classes)
    def forward(self, x):
        x = self.prelu(self.grouped(self.groups(self.first(x)).relu()))
        x = self.instance(self.norm(self.up(x)).relu())
        x = self.row(x.mean(2)).relu().mean(2)
        return self.head(self.layer(self.mixed(x)).relu())

class Sizes(nn.Module):
    """Its code repeats a size."""
    def __init__(self):
        super().__init__()
        self.width, self.first, self.second = 16, nn.Conv2d(1, 16, 3), nn.Conv2d(16, 32, 3)
        self.head = nn.Linear(32, 10)
    def forward(self, x):
        x = self.first(x).relu()
        x = self.second(x.reshape(len(x), self.width, *x.shape[2:])).relu()
        return self.head(x.mean((2, 3)))

class Shuffled(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 32, 3), nn.Linear(32, 10)
    def forward(self, x):
        x = self.first(x).relu()
        x = x.reshape(len(x), 2, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape)
        return self.head(self.second(x).relu().mean((2, 3)))

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.twin, self.last = nn.Linear(784, 32), nn.Linear(32, 32), nn.Linear(32, 32)
        self.last.weight = self.twin.weight
        self.head = nn.Linear(32, 10)
    def forward(self, x):
        return self.head(self.last(self.twin(self.first(x.flatten(1)).relu()).relu()))

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 32, 7, stride=7)
        self.place = nn.Parameter(torch.randn(1, 16, 32))
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.wide, self.narrow = nn.Linear(32, 64), nn.Linear(64, 32)
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)
    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.norm(x + self.narrow(self.wide(x).relu())).mean(1))

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.into, self.lstm = nn.Linear(28, 16), nn.LSTM(16, 16, batch_first=True)
        self.hidden, self.head = nn.Linear(16, 32), nn.Linear(32, 10)
    def forward(self, x):
        return self.head(self.hidden(self.lstm(self.into(x.squeeze(1)))[0][:, -1]).relu())

class Functional(nn.Module):
    """Uses the weights of a layer that is never called."""
    def __init__(self):
        super().__init__()
        self.into, self.inner, self.head = nn.Linear(784, 32), nn.Linear(32, 32), nn.Linear(32, 10)
    def forward(self, x):
        x = self.into(x.flatten(1)).relu()
        return self.head(functional.linear(x, self.inner.weight, self.inner.bias).relu())

class Auxiliary(nn.Module):
    def __init__(self, helps=True):
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 16, 3, stride=2), nn.Linear(16, 10)
        if helps:
            self.aux = nn.Linear(16, 10)
    def forward(self, x):
        x = self.first(x).relu().mean((2, 3))
        return (self.head(x), self.aux(x)) if self.training and hasattr(self, "aux") else self.head(x)

class Evaluated(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(784, 10)
    def forward(self, x):
        if self.training:
            raise RuntimeError("only for inference")
        return self.head(x.flatten(1))

def make(width=16, classes=10): return Kinds(width, classes)
'''
