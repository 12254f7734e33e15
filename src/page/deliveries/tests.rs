//! The screens of deliveries, over views that were made by hand.
