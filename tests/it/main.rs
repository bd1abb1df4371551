
mod broken;
