"""What Swin is compared with: ViT, a CNN, and other attentions."""
